"""Campaigns: longer trials than tests are, each with a command in `.ci`.

    soak        hostile and polite peers for minutes: does anything grow?
    stops       signals while a hundred connections are open: is everybody told?
    coverage    each source by its own test files alone: does anything not run?
    mutation    small faults in the sources, one at a time: do the tests notice?

The first two start servers on 127.0.0.1 with the application of `served`, and end them.
"""
