"""Sizes of images are checked before any data are looked for: crop against network, crop against scaled image."""

from __future__ import annotations

import pytest
from test_cli import error_of
from test_cli_evaluate import completed

from dml.cli.classify import parse_classify
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train

NOWHERE = ("--data-dir", "/nowhere")


@pytest.mark.parametrize(
    ("parse", "words", "message"),
    [
        (parse_train, ("--model", "bn_inception", "--crop-size", "6"), "--crop-size 6 is too small for bn_inception"),
        (parse_train, ("--model", "googlenet", "--crop-size", "14"), "the smallest that it takes is 15"),
        (parse_stml, ("--model", "googlenet", "--crop-size", "30"), "too small for inception_v1"),
        (parse_stml, ("--model", "inception_v1", "--crop-size", "30"), "the smallest that it takes is 31"),
        (parse_target, ("--source-ckpt", "s.pth", "--model", "bn_inception", "--crop-size", "1"), "it takes is 7"),
        (parse_train, ("--crop-size", "64", "--resize", "48"), "crop size 64 exceeds resize 48: give --resize 64"),
        (parse_train, ("--resize", "200"), "crop size 224 exceeds resize 200"),
        (parse_stml, ("--dataset", "folder", "--unlabelled", "--resize", "90"), "crop size 96 exceeds resize 90"),
        (parse_classify, ("--crop-size", "64"), "crop size 64 exceeds resize 32"),
        (parse_train, ("--model", "resnet19"), "unknown backbone 'resnet19'"),
        (parse_stml, ("--model", "resnet19"), "unknown backbone 'resnet19'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_sizes_that_do_not_fit(capsys, parse, words, message):
    assert message in error_of(capsys, *NOWHERE, *words, parse=parse)


@pytest.mark.parametrize("side", ["7", "56", "112", "200"])
def test_sizes_that_fit(side):
    assert parse_train([*NOWHERE, "--model", "bn_inception", "--crop-size", side]).config.data.crop_size == int(side)


def test_an_evaluation_s_sizes():
    with pytest.raises(ValueError, match="crop size 224 exceeds resize 100"):
        completed(None, "--dataset", "cub", "--resize", "100")
    assert completed(None, "--dataset", "cub", "--resize", "100", "--crop-size", "100").crop_size == 100
