"""A checkpoint without a training: a network as it begins tells digits apart already."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from dml.models import create_model
from dml.models.convert import CHECKPOINT_FORMAT

DIGITS = tuple(f"digit_{digit}" for digit in range(5))


def untrained(folder: Path, seed: int, *, model: str = "resnet18", distance: str = "cosine", size: int = 64) -> Path:
    """A checkpoint of ours, as of a run on the digits 0 to 4 at 32 pixels."""
    torch.manual_seed(seed)
    config = {"data": {"dataset": "folder", "resize": 32, "crop_size": 32}, "evaluation": {"eval_distance": distance}}
    net = create_model(model, embedding_size=size, pretrained=False)
    content = {"architecture": asdict(net.architecture), "config": config, "class_names": DIGITS}
    torch.save({"format": CHECKPOINT_FORMAT, "model": net.state_dict(), "epoch": 0} | content, folder / f"{seed}.pt")
    return folder / f"{seed}.pt"
