"""Where a command is to write: found out before it reads or computes anything."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dml.errors import UserError
from dml.places import from_home


def require_writable(folder: Path | str, *, flag: str) -> None:
    """UserError, naming ``flag``, unless files can be made in ``folder``, or the folder itself, which may be missing.

    Tried by making a folder and removing it again: permissions alone do not tell.
    """
    place = from_home(folder).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryDirectory(prefix=".writable_", dir=place):
            pass
    except OSError as error:
        raise UserError(f"{flag} {folder}: cannot make anything in {place}: {error.strerror}") from error


def require_writable_file(file: Path | str, *, flag: str) -> None:
    """UserError, naming ``flag``, unless ``file`` can be written: a new one in a folder that is there, or in the place
    of an old one, or a stream such as ``/dev/stdout``."""
    path = from_home(file).absolute()
    if path.is_dir():
        raise UserError(f"{flag} {file} is a folder: name a file")
    if path.exists():
        if not os.access(path, os.W_OK):
            raise UserError(f"{flag} {file}: it is there already, and must not be written to: name another file")
        return
    if not path.parent.is_dir():
        raise UserError(f"{flag} {file}: there is no such folder")
    require_writable(path.parent, flag=flag)
