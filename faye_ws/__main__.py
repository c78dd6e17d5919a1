"""`python -m faye_ws URL`: the command line."""

import sys

from .cli.main import main

sys.exit(main())
