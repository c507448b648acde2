"""Where files and folders are that begin with ``~``."""

from __future__ import annotations

import os
from pathlib import Path

from dml.errors import UserError


def expanded(place: str | Path) -> Path:
    """``place`` in the home of the user that ``~`` or ``~name`` at its beginning means; else as it is."""
    return Path(os.path.expanduser(place))  # noqa: PTH111 (Path's raises for a ~ that is no home)


def from_home(place: str | Path) -> Path:
    """``expanded``, of what the user names.

    Raises:
        UserError: it begins with the name of nobody, and is nothing that is there.
    """
    path = expanded(place)
    if str(path).startswith("~") and not path.exists():
        user = path.parts[0][1:]
        raise UserError(f"{place}: there is no user {user!r}, whose home ~{user} means, and no such file or folder")
    return path
