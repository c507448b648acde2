"""The wrong labels of a run, kept in its folder and checked when it is continued."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dml.data.records import LabelNoise
from dml.errors import UserError
from dml.writing import replacing

FILE_NAME = "label_noise.npz"


def keep_label_noise(noise: LabelNoise, folder: Path) -> None:
    """Write ``label_noise.npz`` with the arrays of ``noise``; if it is there, check that it says the same.

    Raises:
        UserError: a continued run's training images have other wrong labels than when it began, or the file is
            damaged.
    """
    file = folder / FILE_NAME
    if not file.exists():
        with replacing(file) as stream:
            np.savez_compressed(stream, **noise._asdict())
        return
    try:
        with np.load(file, allow_pickle=False) as saved:
            same = all(np.array_equal(array, saved[name]) for name, array in noise._asdict().items())
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    if not same:
        raise UserError(
            f"{file} names other wrong labels than this run would train with: its training images have changed"
        )
