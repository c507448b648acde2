"""``--print-config``: every effective setting with what set it."""

from __future__ import annotations

import dataclasses
import json

import pytest

import dml
from dml.cli import evaluate as evaluation
from dml.cli.classify import parse_classify
from dml.cli.evaluate import parse_evaluate
from dml.cli.layers import TYPED, WORKED_OUT, Layer, set_by, table_of
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.conditions import as_typed
from dml.errors import UserError
from dml.models import Architecture
from dml.models.convert import LoadedModel

pytestmark = pytest.mark.filterwarnings("ignore::dml.config.ConfigWarning")


@pytest.fixture
def shown(capsys):
    """Setting → (value, what set it), as a command line prints it."""

    def rows(*words: str, parse=parse_train) -> dict[str, tuple[str, str]]:
        with pytest.raises(SystemExit) as stop:
            parse([*words, "--print-config"])
        assert stop.value.code in (None, 0)
        lines = capsys.readouterr().out.splitlines()
        lines = lines[next(i for i, line in enumerate(lines) if line.startswith("setting ")) :]
        split = [[part.strip() for part in line.split("  ") if part.strip()] for line in lines[1:]]
        assert all(len(parts) == 3 for parts in split), lines
        return {name: (value, source) for name, value, source in split}

    return rows


def test_each_layer_is_named(shown):
    of_data = ("--dataset", "glyphs", "--augmentation", "big")
    rows = shown("--loss", "margin", *of_data, "--lr", "0.01", "--loss_margin_nu", "1")
    assert rows["data.strict"] == ("0", "default")
    assert rows["optim.optimizer"] == ("adam", "recipe lsd")
    assert rows["data.batch_size"] == ("64", "data set glyphs")
    assert rows["data.crop_size"] == ("48", "data set glyphs")
    assert rows["optim.lr"] == ("0.01", "typed")
    assert rows["optim.head_lr"] == ("0.01", "worked out from others")
    assert rows["loss.loss"] == ("margin", "typed")
    assert rows["loss.loss_margin_nu"] == ("1", "typed")
    assert rows["loss.loss_margin_margin"] == ("0.2", "loss margin")
    assert rows["loss.miner_distance_lower_cutoff"] == ("0.5", "miner distance")
    assert shown("--augmentation", "big")["data.crop_size"] == ("256", "augmentation big")
    assert shown()["model.bn_momentum"] == ("0.9", "model bn_inception")
    assert shown()["optim.proxy_lr_scale"] == ("100", "loss Proxy_Anchor")


def test_historic_flags_count_as_typed(shown):
    rows = shown("--loss", "triplet", "--arch", "resnet50_frozen_normalize", "--bs", "8", "--log_online")
    for name in ("model.model", "model.bn_freeze", "model.l2_norm", "data.batch_size", "run.wandb"):
        assert rows[name][1] == "typed", name


@pytest.mark.parametrize(
    ("parse", "words"),
    [
        (parse_train, ["--loss", "triplet_lsd", "--sampler", "d2_coreset", "--noisy_label", "--noisy_ratio", "0.1"]),
        (parse_train, ["--introspective", "--recipe", "proxy_anchor"]),
        (parse_target, ["--source-ckpt", "s.pt", "--loss", "CRD"]),
        (parse_stml, ["--method", "moco"]),
        (parse_classify, ["--dataset", "cifar100", "--introspective"]),
    ],
)
def test_every_setting_has_its_effective_value(shown, parse, words):
    rows, config = shown(*words, parse=parse), parse(words).config
    record = dataclasses.asdict(config)
    record["loss"] |= record["loss"].pop("options")
    for name, (value, source) in rows.items():
        section, _, setting = name.partition(".")
        effective = record[section][setting]
        assert value == ("unset" if effective is None else as_typed(effective) or "(empty)")
        assert source
    there = {section for section, values in record.items() if isinstance(values, dict)}
    lacking = {"loss", "finetuning"} if parse is parse_classify else set()
    assert {name.partition(".")[0] for name in rows} == there - lacking
    flags = {name.partition(".")[2] for name in rows}
    assert {"dataset", "epochs", "seed"} <= flags


def test_no_data_are_touched_and_nothing_is_written(shown, tmp_path):
    shown("--data-dir", str(tmp_path / "nowhere"), "--log-dir", str(tmp_path / "logs"))
    assert not list(tmp_path.iterdir())


def test_the_recipe_is_named_first(capsys):
    with pytest.raises(SystemExit):
        parse_train(["--print-config", "--recipe", "lsd"])
    assert capsys.readouterr().out.startswith("train.py: recipe lsd (LSD (Revisiting))\nsetting ")


def test_what_does_not_fit_is_an_error_all_the_same(capsys):
    with pytest.raises(SystemExit) as stop:
        parse_train(["--print-config", "--loss", "tripet"])
    assert stop.value.code == 2
    assert "unknown loss" in capsys.readouterr().err


def test_of_a_run_to_continue(shown, tmp_path):
    (tmp_path / "config.json").write_text(parse_train(["--loss", "triplet", "--lr", "0.25"]).config.to_json())
    rows = shown("--resume-run", str(tmp_path), "--workers", "0")
    assert rows["optim.lr"] == ("0.25", "the run's record")
    assert rows["data.workers"] == ("0", "typed")
    assert {source for _, source in rows.values()} == {"the run's record", "typed"}


@pytest.mark.parametrize("is_ours", [True, False])
def test_of_an_evaluation(shown, is_ours, monkeypatch, tmp_path):
    file = tmp_path / "best.pt"
    file.touch()
    run = json.loads(parse_train(["--dataset", "cars", "--eval-distance", "euclidean"]).config.to_json())
    loaded = LoadedModel(None, Architecture(backbone="resnet18", embedding_size=16), "", run if is_ours else None)
    monkeypatch.setattr(evaluation, "network_to_judge", lambda config: loaded)
    rows = shown("--ckpt", str(file), *([] if is_ours else ["--dataset", "cars"]), parse=parse_evaluate)
    if is_ours:
        assert rows["evaluation.dataset"] == ("cars", "the checkpoint's run")
        assert rows["evaluation.eval_distance"] == ("euclidean", "the checkpoint's run")
    else:
        assert rows["evaluation.dataset"] == ("cars", "typed")
        assert rows["evaluation.eval_distance"] == ("cosine", "default")
    assert rows["evaluation.batch_size"] == ("150", "default")


def test_from_python_resolve_is_the_way():
    with pytest.raises(UserError, match=r"dml\.resolve gives every setting"):
        dml.resolve("--print-config")
    with pytest.raises(UserError, match="no setting 'print_config'"):
        dml.resolve(print_config=True)


def test_what_set_it():
    layers = [Layer("default", {"a": 1, "b": None, "c": (1,)}), Layer("recipe x", {"a": 2}), Layer(TYPED, {"d": "A"})]
    assert set_by("a", 2, layers) == "recipe x"
    assert set_by("a", 1, layers) == WORKED_OUT  # it did not stay what the last layer says
    assert set_by("b", 7, layers) == WORKED_OUT
    assert set_by("c", [1], layers) == "default"
    assert set_by("d", "canonical", layers) == TYPED


def test_secrets_are_hidden():
    table = table_of({"data": {"data_dir": "https://me:sesame@host/x"}}, [])
    assert "sesame" not in table
    assert "***" in table
