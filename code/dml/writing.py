"""Writing files so that an error says which one it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dml.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Within it ``path`` is written; the system's error of a full disk does not name the file by itself.

    Raises:
        OSError: naming ``path``: no room on the disk, no right to write.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save ends a failed write with a RuntimeError about positions, and the reason behind it.
        reason = error if isinstance(error, OSError) else error.__context__
        if not isinstance(reason, OSError) or isinstance(reason, UserError) or reason.errno is None:
            raise
        raise OSError(reason.errno, reason.strerror, str(path)) from error


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a picture as a .png of the resolution that all of them have; see ``naming``."""
    with naming(path):
        figure.savefig(path, dpi=130)
