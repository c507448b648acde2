"""The checkpoint that is meant where a run folder is named."""

from __future__ import annotations

import warnings
from pathlib import Path

from dml.config import ConfigWarning
from dml.models.reading import CheckpointError
from dml.places import from_home


def checkpoint_file(place: Path | str, *, flag: str) -> Path:
    """``place`` itself, or the checkpoint of a run folder: best.pt, but last.pt where nothing chose a best epoch.

    That there is no best.pt is a warning. A file need not exist: who reads it says so.

    Args:
        flag: what ``place`` was given by, for messages.

    Raises:
        CheckpointError: a folder of no run, or of a run without a checkpoint.
    """
    place = from_home(place)
    if not place.is_dir():
        return place
    if not (place / "config.json").is_file():
        runs = next(place.glob("*/config.json"), None)
        hint = "" if runs is None else f", but run folders such as {runs.parent.name}: name one of them"
        raise CheckpointError(f"{flag} {place}: neither a checkpoint nor a run folder; no config.json is there{hint}")
    best, last = place / "best.pt", place / "last.pt"
    is_judged = (place / "best_results.txt").is_file()  # which a run without classes does not have
    if best.is_file() and (is_judged or not last.is_file()):
        return best
    if not last.is_file():
        raise CheckpointError(f"{flag} {place}: no checkpoint is there; the run has not completed an epoch")
    if not best.is_file():
        warnings.warn(f"{flag} {place}: no best.pt is there, so last.pt is taken", ConfigWarning)
    return last
