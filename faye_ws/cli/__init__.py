"""The command line: `faye-ws URL`, or `python -m faye_ws URL`."""
