"""Campaigns against the servers that faye_ws runs on: `.ci/soak` and `.ci/stops`.

    soak     hostile and polite peers for minutes: does anything grow?
    stops    signals while a hundred connections are open: is everybody told?

Both start servers on 127.0.0.1 with the application of `served`, and end them.
"""
