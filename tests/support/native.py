"""Native threads of tests."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

import gevent
from gevent._hub_local import get_hub_if_exists

from support.serving import wait_for


def start(function: Callable[[], object]) -> threading.Thread:
    """Call a function in a native thread."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def call(function: Callable[[], object]) -> None:
    """Call a function in a native thread, and raise here what it raises.

    This thread's hub goes on meanwhile. If that one has a hub in the end, it is destroyed.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)
        finally:
            if get_hub_if_exists() is not None:
                gevent.get_hub().destroy(destroy_loop=True)

    thread = start(run)
    wait_for(lambda: not thread.is_alive(), "the thread is done")
    if errors:
        raise errors[0]


def call_with_hub(function: Callable[[], object]) -> None:
    """Do the same in a thread that has a hub from the beginning."""

    def run() -> None:
        gevent.get_hub()
        function()

    call(run)


def interrupt(thread: threading.Thread) -> None:
    """Raise KeyboardInterrupt in a native thread, when it next runs Python."""
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt)
    )
