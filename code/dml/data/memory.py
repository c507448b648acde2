"""How much memory is free, on Linux also within the bounds of a container or a job."""

from __future__ import annotations

import os
import re
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# Of control groups: limit, what is in use, and the files among that which the system drops when it needs the room.
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def free_memory() -> int | None:
    """Bytes that can be had without another program losing any; None: the system does not say."""
    bounds = [bound for bound in (_of_machine(), _of_group()) if bound is not None]
    return min(bounds, default=None)


def _of_machine() -> int | None:
    try:
        found = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
        if found:
            return 1024 * int(found[1])
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _of_group(root: Path = CGROUPS) -> int | None:
    for limit_file, usage_file, droppable in _FILES:
        try:
            limit, usage = int((root / limit_file).read_text()), int((root / usage_file).read_text())
            statistics = (root / limit_file).with_name("memory.stat").read_text()
        except (OSError, ValueError):  # "max": there is none
            continue
        found = re.search(rf"^{droppable} (\d+)$", statistics, re.MULTILINE)
        return max(0, limit - usage + (int(found[1]) if found else 0))
    return None
