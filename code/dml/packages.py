"""One line in place of a traceback where this Python lacks a package: programs import this before all others."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import NoReturn

ENVIRONMENT = Path(__file__).absolute().parents[2] / ".venv"
OURS = ("dml", "benchmarks")


def lacking(error: BaseException) -> str | None:
    """What helps against the failed import of another's package; None: it is none."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not name or name in OURS or name in sys.stdlib_module_names:
        return None
    missing = f"{name} is missing in this Python, {sys.executable}"
    if not (ENVIRONMENT / "bin" / "python").exists() or Path(sys.prefix) == ENVIRONMENT:
        return f"{missing}: `make venv` installs all that is needed into .venv"
    folder = Path(os.path.relpath(ENVIRONMENT)) / "bin"
    return f"{missing}: `source {folder}/activate`, or {folder}/python {sys.argv[0]}"


def end_with(text: str) -> NoReturn:
    """End the program with one line and status 2: a mistake of the user's."""
    print(f"{Path(sys.argv[0]).name}: error: {text}", file=sys.stderr)
    raise SystemExit(2) from None


def _explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    advice = lacking(error)
    if advice is None or os.environ.get("DML_TRACEBACK") == "1":
        sys.__excepthook__(kind, error, trace)
    else:
        end_with(advice)


sys.excepthook = _explain
