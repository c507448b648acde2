"""``--as-source``: where a trained network is kept to be the source of an embedding transfer."""

from __future__ import annotations

import shutil
from pathlib import Path

from dml.config import ROOT, TrainConfig

FOLDER = ROOT / "pretrained_source"


def keep_as_source(config: TrainConfig, run: Path, folder: Path = FOLDER) -> Path:
    """Copy the run's best.pt to ``<folder>/<model>/<data set>_<model>_<D>dim_<loss>_ckpt.pth``, as published.

    A name that is taken gets a number; nothing is overwritten.

    Returns:
        the copy's path.
    """
    model = config.model.model
    name = f"{config.data.name}_{model}_{config.model.embedding_size}dim_{config.loss.loss}_ckpt"
    parent, number = folder / model, 1
    parent.mkdir(parents=True, exist_ok=True)
    while (target := parent / f"{name}{'' if number == 1 else f'_{number}'}.pth").exists():
        number += 1
    shutil.copyfile(run / "best.pt", target)
    return target
