"""What of a checkpoint refers to training images by their numbers, when those have changed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dml.data.layout import DatasetWarning
from dml.data.run_split import FILE_NAME, positions, read_split, table_with_digest
from dml.errors import UserError
from dml.methods.base import Method


def numbered_anew(saved: dict[str, Any], method: Method, folder: Path, digest: str | None) -> dict[str, Any]:
    """A checkpoint whose images are numbered as by the run's ``split.csv`` today, where it was written under another.

    The batches of an epoch under way follow their images; if one that is yet to come is gone, the epoch begins again.
    Rows of state that belong to an image go with it, see ``Method.move_images``.

    Args:
        saved: the content of last.pt.
        digest: of today's ``split.csv``; None: the run has none.

    Raises:
        UserError: the split that the checkpoint was written under is not in ``folder``.

    Warns:
        DatasetWarning: an epoch begins again.
    """
    then = (saved.get("split") or {}).get("digest")
    if digest is None or then is None or then == digest:
        return saved
    earlier = table_with_digest(folder, then)
    if earlier is None:
        raise UserError(
            f"{folder}/last.pt was written under another {FILE_NAME}, which is not there, nor as split_1.csv or a later"
            " number: put it back"
        )
    moved = positions(earlier, read_split(folder / FILE_NAME))
    state = saved["state"] | _moved_plan(saved["state"], moved)
    return saved | {"state": state, "method": method.move_images(saved["method"], moved)}


def _moved_plan(state: Mapping[str, Any], moved: np.ndarray) -> dict[str, Any]:
    """Plan, batches done and totals of an epoch under way."""
    if state["plan"] is None:
        return {}
    plan, done = torch.from_numpy(moved)[state["plan"]], state["batches_done"]
    if (plan[done:] >= 0).all():
        return {"plan": plan}
    warnings.warn(
        f"images that epoch {state['epoch'] + 1} was yet to train on are gone: it begins again, though {done} of its"
        f" {len(plan)} batches were done",
        DatasetWarning,
    )
    return {"plan": None, "batches_done": 0, "totals": {}}
