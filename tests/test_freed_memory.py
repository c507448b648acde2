"""Freed memory stays with the process, and comes back without new pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

import dml.memory
from dml.memory import keep_freed_memory

REPEATS = """
import resource, sys
from dml.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else False
import torch
torch.set_num_threads(1)
for _ in range(30):  # until there is room for one among what else was allocated
    torch.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(16_000_000)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is a setting of the GNU C library")


def pages(which: str) -> tuple[str, int]:
    kept, faults = subprocess.run(
        [sys.executable, "-c", REPEATS, which], capture_output=True, text=True, check=True, cwd="code"
    ).stdout.split()
    return kept, int(faults)


@needs_glibc
def test_a_tensor_in_the_place_of_a_freed_one_takes_no_new_pages():
    assert pages("kept")[0] == "True"
    assert 10 * pages("kept")[1] < pages("left")[1]


def test_what_the_environment_says_of_memory_is_left(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    monkeypatch.setattr(dml.memory.ctypes, "CDLL", pytest.fail)
    assert not keep_freed_memory()


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(dml.memory.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(dml.memory.ctypes, "CDLL", pytest.fail)
    assert not keep_freed_memory()
