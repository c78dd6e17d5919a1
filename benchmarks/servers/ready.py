"""What every Python server here does once it listens."""

import gc
import signal


def announce() -> None:
    """Print READY, and from now on collect garbage on SIGUSR2.

    The signal lets the runner measure the memory that connections need, not the garbage that
    opening them left behind.
    """
    signal.signal(signal.SIGUSR2, lambda *_: gc.collect())
    print("READY", flush=True)
