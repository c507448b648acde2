"""Embeddings of fewer images than there are processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image

from dml.config import DataConfig
from dml.data import ImageRecords
from dml.evaluation.classification import top_classes
from dml.evaluation.embedding import embed_records
from dml.models import create_model
from dml.models.classifiers import create_classifier
from two_processes import fabric_of_two, in_two_processes, needs_gloo

CONFIG = DataConfig(resize=32, crop_size=32, batch_size=8, workers=0)


def _embed(rank: int | None, paths: list[str]) -> list[torch.Tensor]:
    """Embeddings and predictions of the first image, and of all three, by one process (None) or as one of two."""
    fabric = Fabric(accelerator="cpu", devices=1) if rank is None else fabric_of_two(rank)
    torch.manual_seed(0)
    network = create_model("resnet18", embedding_size=4, pretrained=False)
    classifier = create_classifier("cifar_resnet8_basic", classes=tuple("abcdefg"), stem="cifar")
    found = []
    for number in (1, 3):
        records = ImageRecords(tuple(paths[:number]), np.zeros(number, dtype=np.int64), ("class",))
        found.append(embed_records(network, records, CONFIG, fabric, progress="images"))
        found.append(embed_records(classifier, records, CONFIG, fabric, progress="images", read=top_classes))
    return found


@needs_gloo
def test_a_process_may_have_no_image(tmp_path: Path):
    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    rng = np.random.default_rng(0)
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    alone = _embed(None, paths)
    assert [len(rows) for rows in alone] == [1, 1, 3, 3]
    for process in in_two_processes(_embed, paths):
        torch.testing.assert_close(process, alone)
