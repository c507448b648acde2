"""What a user of a program can mend, told apart from what is a fault of the program, and from what is none."""

from __future__ import annotations


class UserError(ValueError):
    """What was typed, a file, or the machine's set-up is at fault; the message says which, and the way out.

    A program ends with this message alone, in one line. Whatever else is raised is a fault of the program's and keeps
    its traceback: of a ``ValueError`` of torch's or numpy's no user could tell what to change. Errors of files that are
    ``OSError`` too inherit from both.
    """


class Note(UserWarning):
    """What a default comes to here: to be known, and nothing that was typed is at fault, so that it is no warning."""


def add_note(error: BaseException, text: str) -> None:
    """Add a line to what is said below the error's traceback; Python 3.11's ``add_note``, of which 3.10 knows none."""
    vars(error)["__notes__"] = [*notes_of(error), text]


def notes_of(error: BaseException) -> list[str]:
    """The lines that were added to ``error``."""
    return getattr(error, "__notes__", [])
