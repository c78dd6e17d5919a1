"""Counts of everything in this process that a connection may leave behind."""

from __future__ import annotations

import ctypes
import gc
import os
from collections import Counter
from pathlib import Path
from typing import Any

from greenlet import greenlet

Stock = dict[str, Any]

# glibc keeps what was freed; how much of it is chance, and no leak.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

# What is counted, and how a table calls it.
MEASURES = {
    "objects": "objects",
    "greenlets": "greenlets",
    "threads": "threads",
    "descriptors": "descriptors",
    "memory": "MB",
}


def take_stock() -> Stock:
    """Collect the garbage, give back the memory that nothing is in, and count what is left.

    Returns:
        The number of objects of classes of faye_ws (in `kinds` by class), of greenlets, native
        threads and descriptors, and the resident memory in MB.
    """
    gc.collect()
    if _trim is not None:
        _trim(0)
    kinds: Counter[str] = Counter()
    greenlets = 0
    for thing in gc.get_objects():
        # Not isinstance: a dead proxy would raise.
        kind = type(thing)
        if str(kind.__module__).partition(".")[0] == "faye_ws":
            kinds[kind.__qualname__] += 1
        elif issubclass(kind, greenlet):
            greenlets += 1
    return {
        "pid": os.getpid(),
        "objects": kinds.total(),
        "kinds": dict(kinds),
        "greenlets": greenlets,
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "memory": round(resident_memory() / 2**20, 1),
    }


def resident_memory() -> int:
    """Return the bytes of this process that are in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell VmRSS")
