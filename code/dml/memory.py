"""Memory that is freed stays with the process, which asks for the same again at the next step."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

# malloc.h of the GNU C library, and the environment's names for the same.
_PARAMETERS = {
    "MALLOC_MMAP_MAX_": (-4, 0),  # large tensors, too, come from the heap,
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),  # which is not given back as soon as its end is free
}


def keep_freed_memory() -> bool:
    """Let the C library keep what tensors on the CPU free; whether it could be told.

    Left alone, it hands every large tensor back to the system, which clears its pages again for the next one: a
    quarter of a MobileNetV2's training step (``scripts/benchmark.py memory``). The process then stays at its highest
    demand. Nothing is changed where the environment names one of the two parameters, or without the GNU C library.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _PARAMETERS):
        return False
    library = ctypes.CDLL(None)
    return all(library.mallopt(number, value) == 1 for number, value in _PARAMETERS.values())
