"""Where, when and with which code a run was made: ``environment.json`` in its folder."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
import torchvision

from dml.redact import redact_command
from dml.version import __version__
from dml.writing import write_text_atomically

ENVIRONMENT_FILE = "environment.json"
PATIENCE = 10  # seconds that git has for an answer


def record_session(folder: Path, *, device: torch.device, processes: int) -> None:
    """Add this session, the start of a run or a continuation of it, to ``environment.json`` in its folder.

    The file holds ``{"sessions": [...]}``, the first being the start; see ``session``.
    """
    file = folder / ENVIRONMENT_FILE
    sessions = [*_earlier(file), session(device=device, processes=processes)]
    write_text_atomically(json.dumps({"sessions": sessions}, indent=1, ensure_ascii=False) + "\n", file)


def first_command(folder: Path) -> list[str]:
    """The words that began the run in ``folder``, without secrets; none if its record is gone."""
    first = (_earlier(folder / ENVIRONMENT_FILE) or [{}])[0]
    return shlex.split(first.get("command", ""))


def session(*, device: torch.device, processes: int) -> dict[str, Any]:
    """Start time (UTC), command line without secrets, commit of the code and whether files differ from it (None
    outside a repository), versions, device and number of processes."""
    commit, changed = code_state(Path(__file__).resolve().parents[2])
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(redact_command(sys.argv)),
        "commit": commit,
        "changed": changed,
        "versions": {
            "dml": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
        },
        "device": device_name(device),
        "processes": processes,
    }


def code_state(code: Path) -> tuple[str | None, bool | None]:
    """The commit that the folder ``code`` belongs to, and whether its files, new ones too, differ from that commit's.

    (None, None) without git, or where ``code`` is in no repository: a repository further up that does not hold its
    files says nothing of them.
    """
    if not _git(code, "ls-files", "."):
        return None, None
    commit, changes = _git(code, "rev-parse", "--verify", "HEAD"), _git(code, "status", "--porcelain", "--", ".")
    if commit is None or changes is None:
        return None, None
    return commit.strip(), bool(changes)


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not on Linux
        pass
    return platform.processor() or platform.machine()


def _git(folder: Path, *words: str) -> str | None:
    """What git answers in ``folder``; None if there is none, or it refuses."""
    # Inside a hook of another repository these would name that one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _earlier(file: Path) -> list[dict[str, Any]]:
    """The sessions on record; none, with a warning, if the file is damaged."""
    if not file.exists():
        return []
    try:
        return list(json.loads(file.read_text(encoding="utf-8"))["sessions"])
    except (ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{file} is damaged ({error!r}): earlier sessions are lost from it")
        return []
