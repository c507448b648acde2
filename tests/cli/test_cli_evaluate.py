"""What evaluate.py takes from the checkpoint where no flag says otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli import error_of, train

from dml.cli.evaluate import complete, parse_evaluate
from dml.cli.network_defaults import network_defaults
from dml.cli.stml import parse_stml
from dml.config import ConfigWarning, EvaluateConfig, TrainConfig
from dml.data.run_split import RunRecord
from dml.models import Architecture
from dml.models.convert import LoadedModel
from dml.models.features import untrained


def completed(run: TrainConfig | None, *arguments: str) -> EvaluateConfig:
    """The settings for a checkpoint of ``run``, or for a published one."""
    config = None if run is None else json.loads(run.to_json())
    loaded = LoadedModel(None, Architecture(backbone="resnet18", embedding_size=16), "", config)
    return complete(parse_evaluate(["--ckpt", "some.pt", *arguments]), loaded)


@pytest.fixture
def flat(tmp_path: Path) -> str:
    (tmp_path / "1.png").touch()
    return str(tmp_path)


@pytest.fixture
def folders(tmp_path: Path) -> str:
    folder = tmp_path / "folders" / "2026"
    folder.mkdir(parents=True)
    (folder / "1.png").touch()
    return str(folder.parent)


def self_taught(*arguments: str) -> TrainConfig:
    return parse_stml(["--dataset", "folder", *arguments]).config


def test_the_seed_is_that_of_the_run():
    run = train("--introspective", "--metrics", "recall", "nmi", "--seed", "5")
    assert completed(run).seed == 5
    assert completed(run, "--seed", "0").seed == 0
    assert completed(run, "--dataset", "cars").seed == 5
    assert completed(None, "--dataset", "cub").seed == 0


def test_copies_are_kept_as_by_the_run():
    run = train("--dataset", "folder", "--keep-copies", "1")
    assert completed(run).keep_copies is True
    assert completed(run, "--keep-copies", "0").keep_copies is False
    assert completed(train("--dataset", "folder")).keep_copies is False
    with pytest.warns(ConfigWarning, match="--keep-copies has no effect with --dataset cub"):
        completed(None, "--dataset", "cub", "--keep-copies", "1")


def test_bits_are_those_of_the_run():
    """As it was recorded, also where it met no image of more than 8 bits; a run of before read all 16."""
    own = ("--dataset", "folder", "--data-dir", "photos")
    run = json.loads(train(*own, "--bits", "12").to_json())
    found = []
    for change in ({}, {"bits": None}, {"dataset": "cub", "bits": None}):
        run["data"] |= change
        loaded = LoadedModel(None, Architecture(backbone="resnet18", embedding_size=16), "", run)
        found.append(complete(parse_evaluate(["--ckpt", "some.pt", *own, "--unlabelled", "0"]), loaded).bits)
    del run["data"]["bits"]
    run["data"]["dataset"] = "folder"
    found.append(complete(parse_evaluate(["--ckpt", "some.pt", *own, "--unlabelled", "0"]), loaded).bits)
    assert found == [12, None, None, 16]
    assert completed(train(*own, "--bits", "12"), "--dataset", "cub").bits is None
    with pytest.raises(ValueError, match="--bits is for --dataset folder, not for cub"):
        completed(train("--dataset", "cub"), "--bits", "12")


def test_images_without_classes_are_recognised(flat, folders):
    wanted = ["--gallery", "g.png"]
    published = ["--dataset", "folder", "--data-dir"]
    assert completed(None, *published, flat, *wanted).unlabelled is True
    assert completed(None, *published, flat, "--unlabelled", "0").unlabelled is False
    assert completed(None, *published, folders).unlabelled is False
    assert completed(None, *published, folders, *wanted, "--unlabelled").metrics is None
    assert completed(train("--dataset", "cub"), *published, flat, *wanted).unlabelled is True


def test_images_of_the_run_are_taken_as_the_run_took_them(flat, folders):
    wanted = ["--gallery", "g.png"]
    assert completed(self_taught("--data-dir", flat), *wanted).unlabelled is True
    assert completed(self_taught("--data-dir", flat, "--unlabelled", "0")).unlabelled is False
    run = self_taught("--data-dir", folders, "--unlabelled")
    assert completed(run, *wanted).unlabelled is True
    assert completed(run, "--data-dir", folders).unlabelled is False
    assert completed(run, "--dataset", "cub").unlabelled is False
    # An image beside the class folders that a run was trained on with its classes.
    assert completed(train("--dataset", "folder", "--data-dir", flat)).unlabelled is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "by --save-embeddings FILE, --gallery FILE or --tsne FILE"),
        (["--metrics", "nmi"], "--metrics: the images have no classes"),
        (["--json", "m.json"], "--json: the images have no classes"),
        (["--uncertainty"], "--uncertainty: the images have no classes"),
        (["--keep-copies", "1"], "--keep-copies: the images have no classes"),
    ],
)
def test_what_needs_classes_is_refused_where_there_are_none(flat, capsys, arguments, message):
    files = ["--tsne", "t.html"] if arguments else []
    with pytest.raises(ValueError, match=message):
        completed(None, "--dataset", "folder", "--data-dir", flat, *arguments, *files)
    typed = ["--ckpt", "some.pt", "--unlabelled", *arguments, *files]
    assert message in error_of(capsys, *typed, parse=parse_evaluate)


def test_other_data_sets_have_classes():
    with pytest.raises(ValueError, match="--unlabelled is for --dataset folder, not for cub"):
        completed(train("--dataset", "cub"), "--unlabelled", "--gallery", "g.png")


def test_new_classes_are_of_own_images(folders):
    run = train("--dataset", "cub")
    with pytest.raises(ValueError, match="--new-classes is for --dataset folder, not for cub"):
        completed(run, "--new-classes")
    assert completed(run, "--new-classes", "--dataset", "folder", "--data-dir", folders).new_classes


def test_whether_there_are_classes_is_the_runs_to_say(flat):
    """Also where images lie beside the class folders by now."""
    run = self_taught("--data-dir", flat)
    config = json.loads(run.to_json())
    for classes in ((), ("oak",)):
        record = RunRecord("", "", ("image",), classes)
        loaded = LoadedModel(None, Architecture(backbone="resnet18", embedding_size=16), "", config, split=record)
        assert complete(parse_evaluate(["--ckpt", "some.pt", "--gallery", "g.png"]), loaded).unlabelled == (not classes)


def test_a_network_without_a_checkpoint_is_judged_by_its_features():
    config = parse_evaluate(["--head", "none", "--model", "mobilenet_v2", "--pretrained", "0", "--dataset", "cub"])
    assert (config.judged, config.pretrained) == ("mobilenet_v2", False)
    completed = complete(config, untrained(config))
    assert (completed.resize, completed.crop_size) == (256, None)
    small = parse_evaluate(["--head", "none", "--model", "convnext_tiny", "--crop-size", "128", "--dataset", "cub"])
    assert network_defaults("convnext_tiny", vars(small)) == {"pooling": "avg", "resize": 134}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "--head none --model NAME judges the features of a network"),
        ("--head none", "--model NAME"),
        ("--head none --model mobilenet_v9", "unknown backbone 'mobilenet_v9'"),
        ("--head none --model resnet18 --weights missing.pth", "--weights: no such file"),
        (f"--head none --model resnet18 --weights {__file__} --pretrained 0", "goes with --pretrained 1"),
        ("--ckpt a.pt --pooling avg", "--pooling is not used with --ckpt"),
        ("--ckpt a.pt --weights w.pth", "--weights is not used with --ckpt"),
        ("--ckpt a.pt --pretrained 0", "--pretrained 0 is not used with --ckpt"),
    ],
)
def test_what_judges_no_network(words, said, capsys):
    with pytest.raises(SystemExit):
        parse_evaluate(["--dataset", "cub", *words.split()])
    assert said in capsys.readouterr().err
