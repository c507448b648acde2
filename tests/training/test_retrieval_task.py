"""How a run judges its data: whose ties count, whose copies are left out, over how many queries."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from lightning_fabric import Fabric
from PIL import Image

from dml.cli.train import parse_train
from dml.data import ImageRecords, RetrievalData
from dml.evaluation.answers import Answers
from dml.models.input_spec import InputSpec
from dml.training.retrieval import RetrievalTask


@pytest.fixture
def data(tmp_path):
    """Six files of three classes, the second a copy of the first, as queries, gallery, training and held-out images."""
    for number, seed in enumerate((1, 1, 3, 4, 5, 6)):
        noise = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / str(number), "png")
    labels = np.array([0, 0, 1, 1, 1, 2], dtype=np.int64)
    images = ImageRecords(tuple(f"{tmp_path}/{number}" for number in range(6)), labels, ("x", "y", "z"))
    return RetrievalData("folder", images, images, images, images, (1,))


def task(data, *arguments):
    config = parse_train(["--dataset", "folder", "--workers", "0", "--train-metrics", "1", *arguments]).config
    spec = InputSpec((0.0,) * 3, (1.0,) * 3, bgr=False, scale=1.0, crop_size=8)
    method = SimpleNamespace(model=SimpleNamespace(input_spec=spec))
    return RetrievalTask(config, Fabric(accelerator="cpu", devices=1), data, method)


def test_copies_of_own_images_are_left_out_of_every_split(data):
    judged = task(data)
    assert {prefix: found.image_ids[1].tolist() for prefix, found in judged.evaluators.items()} == {
        prefix: [0, 0, 1, 2, 3, 4] for prefix in ("eval", "val", "train_set")
    }
    own_gallery = Answers(6, 3, copied=2, distinct=3)
    searched = Answers(6, 3, copied=6, distinct=3)
    assert judged.answers() == {"eval": searched, "val": own_gallery, "train_set": own_gallery}
    assert not any(found.ties_count_for_query for found in judged.evaluators.values())


def test_copies_are_kept_where_that_is_asked_for(data):
    judged = task(data, "--keep-copies", "1")
    assert {found.image_ids for found in judged.evaluators.values()} == {None}
    own_gallery = Answers(6, 5, distinct=3)
    searched = Answers(6, 6, distinct=3)
    assert judged.answers() == {"eval": searched, "val": own_gallery, "train_set": own_gallery}


def test_a_benchmark_keeps_its_protocol(data):
    judged = task(dataclasses.replace(data, name="Inshop", ties_count_for_query=True))
    assert {found.image_ids for found in judged.evaluators.values()} == {None}
    ties = {prefix: found.ties_count_for_query for prefix, found in judged.evaluators.items()}
    assert ties == {"eval": True, "val": False, "train_set": False}, "where there is a gallery"
