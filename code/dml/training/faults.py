"""What a fault of the program leaves behind in a run: its traceback, and how to go on."""

from __future__ import annotations

import datetime
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dml.errors import UserError, add_note

TRACEBACK_FILE = "traceback.txt"


@contextmanager
def keeping_traceback(folder: Path, *, process: int, resume_hint: str) -> Iterator[None]:
    """Whatever leaves the block, but for what a user can mend, is written to ``traceback.txt`` in ``folder``.

    An ``OSError`` a user can mend too: it names a file, or a full disk. The error leaves the block with a note that
    says where the traceback is, and how the run goes on.

    Args:
        process: the number of this one among those of the run; each that fails adds its own.
        resume_hint: the command that continues the run.
    """
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        file = folder / TRACEBACK_FILE
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        with suppress(OSError), file.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{now}, process {process}\n{''.join(traceback.format_exception(error))}\n")
            add_note(error, f"The traceback is in {file}.")
        done = "last.pt is as it was saved last" if (folder / "last.pt").exists() else "nothing is saved yet"
        add_note(error, f"Stopped: {done}. Continue with:\n  {resume_hint}")
        raise
