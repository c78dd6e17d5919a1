"""A plugin of pytest that lets coverage see the threads begun below `threading`.

    coverage run -m pytest -p campaigns.raw_threads ...

Python traces only the threads that `threading` begins. Those of gevent's pools and that of our
background are begun with `_thread`, as they have to be in a program that is monkey-patched.

Invariants: it is loaded before gevent and faye_ws take the function from `_thread`.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from typing import Any

_start_new_thread = _thread.start_new_thread


def _start_traced(function: Callable[..., object], *arguments: Any) -> int:
    def run(*args: Any, **kwargs: Any) -> None:
        sys.settrace(threading.gettrace())
        function(*args, **kwargs)

    return _start_new_thread(run, *arguments)


_thread.start_new_thread = _start_traced
