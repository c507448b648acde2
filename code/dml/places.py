"""Where files and folders are: the repository's own, those that begin with ``~``, and which settings name some."""

from __future__ import annotations

import os
from pathlib import Path

from dml.errors import UserError

PLACES = (
    *("data_dir", "log_dir", "run_name", "workers", "gpu_id", "wandb", "tracker", "project", "group", "feature_cache"),
)
"""Settings that say where something is or how it is run: two runs that differ in them alone are one."""
FILES = ("weights", "source_ckpt", "init_from", "resume")
"""Settings that are files: two runs of files of one name are one, for files move."""


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


def root_of(package: Path) -> Path:
    """Where data, logs and source networks are by default: the repository that ``package``, the folder ``dml``, is
    imported from; of an installed package, which is in none, the working directory."""
    code = package.resolve().parent
    return code.parent if code.name == "code" and (code / "train.py").is_file() else Path.cwd()
