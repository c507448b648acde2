"""What a run tells of what is tested, and of how to train on everything."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from dml.cli.train import parse_train
from dml.data import ImageRecords, KnownClassesData, RetrievalData
from dml.training.use import how_to_train_on_all, what_is_tested

IMAGES = ImageRecords(("1", "2", "3"), np.array([0, 1, 1], dtype=np.int64), ("ant", "bee"))


def test_what_is_tested_is_said_where_a_rule_decides():
    halves = RetrievalData("folder", IMAGES, IMAGES, None, None, (1,), by_rule=True)
    assert what_is_tested(halves).startswith("half of the classes, ant to bee, do not train")
    known = KnownClassesData("folder", IMAGES, IMAGES, None, None, (1,), by_rule=True)
    assert what_is_tested(known).startswith("every class trains; a fifth of each one's images")
    assert what_is_tested(RetrievalData("folder", IMAGES, IMAGES, None, None, (1,))) is None
    assert what_is_tested(RetrievalData("cub", IMAGES, IMAGES, None, None, (1,), by_rule=True)) is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("--lr 1e-3 --val-split 0.2 --model resnet18", "--lr 1e-3 --model resnet18"),
        ("--lr 1e-3 --fold=1/5 --use_tv_split --split images", "--lr 1e-3"),
        ("--run-name a --val_split 0.2 --val-by-images 1 --select test", ""),
        ("--data-dir 'my photos' --metrics recall nmi", "--data-dir 'my photos' --metrics recall nmi"),
    ],
)
def test_the_command_is_that_of_the_run_without_its_test(typed, kept):
    words = ["code/train.py", "--dataset", "folder", *shlex.split(typed)]
    told = how_to_train_on_all(config(), words, best_epoch=60)
    assert shlex.split(told.splitlines()[1]) == ["python", *words[:3], *shlex.split(kept), "--split", "all"]


def config(*words: str):
    return parse_train(["--dataset", "folder", "--epochs", "60", "--scheduler", "step", *words]).config


def test_as_many_epochs_as_the_best_had():
    words = ["train.py", "--epochs", "60"]
    assert how_to_train_on_all(config(), words, best_epoch=12).endswith("--epochs 60 --split all --epochs 12")
    assert how_to_train_on_all(config(), words, best_epoch=60).endswith("--epochs 60 --split all")
    cosine = config("--scheduler", "cosine")
    assert how_to_train_on_all(cosine, words, best_epoch=12).endswith("--epochs 60 --split all"), "other rates"


def test_of_a_run_that_python_began():
    assert how_to_train_on_all(config(), ["notebook.py"], best_epoch=3).endswith("tests nothing: --split all")
    assert how_to_train_on_all(config(), [], best_epoch=3).endswith("tests nothing: --split all")
