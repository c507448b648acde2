"""Flags: published spellings and defaults, aliases, booleans, and errors that say what is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from published_flags import COMMON, EVALUATION, FLAGS, assert_arrives

from dml.cli.evaluate import parse_evaluate
from dml.cli.parser import parse_bool
from dml.cli.train import parse_train
from dml.config import SECTIONS, ConfigWarning, train_config_from_json
from dml.losses import LOSSES
from dml.training.launch import FIRST

PUBLISHED_NAMES = {
    "sz_embedding": "embedding_size",
    "sz_batch": "batch_size",
    "nb_epochs": "epochs",
    "target_norm": "l2_norm",
}


def train(*arguments: str):
    return parse_train(arguments).config


def flat(config) -> dict:
    return {k: v for section in SECTIONS for k, v in dataclasses.asdict(getattr(config, section)).items()}


def assert_default(config, name: str, expected) -> None:
    """A published flag, with underscores and without dashes before it, has this value where it is left out."""
    settings = flat(config)
    if name == "loss":
        assert config.loss.loss == expected
    elif name in ("LOG_DIR", "DATA_DIR"):
        assert Path(settings[name.lower()]).name == Path(expected).name
    elif name == "gpu_id":
        assert {settings[name], (expected,)} <= set(FIRST)
    else:
        assert settings[PUBLISHED_NAMES.get(name, name)] == expected


def error_of(capsys, *arguments: str, parse=parse_train) -> str:
    with pytest.raises(SystemExit) as stop:
        parse(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "entry", [e for e in FLAGS["proxy_anchor/train"] if "default" in e], ids=lambda e: e["flags"][0]
)
def test_published_defaults_of_proxy_anchor(entry):
    """What proxy_anchor/train.py does without a flag is what ours does with --loss Proxy_Anchor alone."""
    config = train("--loss", "Proxy_Anchor")
    name = entry["flags"][0].strip("-").replace("-", "_")
    expected = entry["default"]
    if name in ("alpha", "mrg"):
        assert LOSSES["Proxy_Anchor"].default(name) == expected
    else:
        assert_default(config, name, expected)


@pytest.mark.parametrize("entry", FLAGS["proxy_anchor/train"], ids=lambda e: e["flags"][0])
def test_published_flags_arrive_in_both_spellings(entry):
    assert_arrives(train, entry, COMMON)


@pytest.mark.parametrize("entry", FLAGS["label_relaxation/train_source"], ids=lambda e: e["flags"][0])
def test_published_flags_of_source_networks_arrive(entry):
    assert_arrives(train, entry, COMMON, beside=["--as-source"])


@pytest.mark.parametrize(
    ("program", "entry"),
    [(program, entry) for program in FLAGS if program.endswith("/evaluate") for entry in FLAGS[program]],
    ids=lambda value: value if isinstance(value, str) else value["flags"][0],
)
def test_published_flags_of_evaluation_arrive(program, entry):
    def evaluation(*words: str):
        return parse_evaluate(["--ckpt", "some.pth", *words])

    assert_arrives(evaluation, entry, EVALUATION)


@pytest.mark.parametrize(
    ("alias", "name", "value", "expected"),
    [
        ("--gpu", "gpu_id", ["3"], (3,)),
        ("--gpu_id", "gpu_id", ["0", "1"], (0, 1)),
        ("--gpu-id", "gpu_id", ["-1"], (-1,)),
        ("--bs", "batch_size", ["12"], 12),
        ("--arch", "model", ["resnet18"], "resnet18"),
        ("--embed_dim", "embedding_size", ["64"], 64),
        ("--n_epochs", "epochs", ["30"], 30),
        ("--epoch", "epochs", ["30"], 30),
        ("--source", "data_dir", ["/x"], "/x"),
        ("--DATA_DIR", "data_dir", ["/x"], "/x"),
        ("--LOG_DIR", "log_dir", ["/x"], "/x"),
        ("--dataset", "dataset", ["cub200"], "cub"),
        ("--eval-first", "eval_first", [], True),
        ("--metrics", "metrics", ["recall", "nmi"], ("recall", "nmi")),
    ],
)
def test_aliases(alias, name, value, expected):
    assert flat(train(alias, *value))[name] == expected


@pytest.mark.parametrize("text", ["1", "true", "True", "YES", "on"])
def test_true(text):
    assert parse_bool(text) is True


@pytest.mark.parametrize("text", ["0", "false", "False", "no", "OFF"])
def test_false(text):
    assert parse_bool(text) is False
    assert train("--bn_freeze", text).model.bn_freeze is False


def test_the_last_of_a_repeated_flag_counts_under_any_spelling():
    assert train("--batch-size", "10", "--bs", "20", "--batch_size", "30").data.batch_size == 30


def test_glyphs_bring_their_own_defaults_and_flags_still_win():
    config = train("--dataset", "glyphs")
    assert (config.model.model, config.model.pretrained, config.data.crop_size) == ("resnet18", False, 48)
    assert train("--dataset", "glyphs", "--model", "resnet50").model.model == "resnet50"


def test_loss_options_reach_the_configuration():
    assert train("--alpha", "16", "--mrg", "0.2").loss.options == {"alpha": 16.0, "mrg": 0.2}


def test_configuration_survives_json():
    config = train("--alpha", "16", "--gpu", "1", "2", "--fold", "2/5", "--metrics", "recall", "f1")
    assert train_config_from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss", "Proxy_Ancor"], "unknown loss 'Proxy_Ancor'. Did you mean 'Proxy_Anchor'?"),
        (["--loss", "MS", "--alpha", "3"], "--alpha is not used by --loss MS, but by Proxy_Anchor"),
        (["--loss", "MS", "--proxy-lr-scale", "3"], "--proxy-lr-scale is not used by --loss MS"),
        (["--dataset", "cubs"], "unknown dataset 'cubs'"),
        (["--batch-sise", "3"], "unknown argument --batch-sise (did you mean --batch-size?)"),
        (["--batch", "3"], "unknown argument --batch"),
        (["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["--lr", "-1"], "--lr must be positive"),
        (["--lr", "fast"], "invalid float value: 'fast'"),
        (["--bn-freeze", "perhaps"], "'perhaps' is neither 1/true/yes/on nor 0/false/no/off"),
        (["--optimizer", "lion"], "--optimizer 'lion' is not one of sgd, adam, rmsprop, adamw, adamp"),
        (["--precision", "8"], "--precision '8' is not one of"),
        (["--crop-scale", "0"], "--crop-scale must lie in (0, 1]"),
        (["--fold", "6/5"], "--fold i/k needs 1 ≤ i ≤ k"),
        (["--fold", "²/5"], "--fold reads i/k, such as 1/5; got ²/5"),
        (["--fold", "1/5", "--val-split", "0.1"], "exclude each other"),
        (["--remark", "a/b"], "leave out the /"),
        (["--weights", "nowhere.pth"], "nowhere.pth"),
        (["--run-name", "../elsewhere"], "--run-name '../elsewhere' is no name"),
        (["--wandb_key", "secret"], "set WANDB_API_KEY instead"),
        (["--resume-run", "nowhere"], "no config.json there"),
        (["--resume-run", "nowhere", "--lr", "1"], "leave out --lr"),
    ],
)
def test_mistakes_are_named(capsys, arguments, message):
    assert message in error_of(capsys, *arguments)


def test_a_continued_run_may_find_its_files_elsewhere_and_nothing_else_changed(tmp_path, capsys):
    (tmp_path / "config.json").write_text(parse_train(["--dataset", "cub", "--lr", "0.5"]).config.to_json())
    elsewhere = ["--data-dir", "elsewhere", "--workers", "3", "--cache-images", "disk"]
    there = parse_train(["--resume-run", str(tmp_path), *elsewhere])
    assert there.config.data.data_dir == str(Path("elsewhere").absolute())
    assert (there.config.data.workers, there.config.data.cache_images, there.config.optim.lr) == (3, "disk", 0.5)
    said = error_of(capsys, "--resume-run", str(tmp_path), "--workers", "3", "--lr", "1", "--seed", "2")
    may_change = "--data-dir, --source-ckpt, --workers, --cache-images, --gpu-id, --compile, --wandb, --wandb-pictures"
    may_change += ", --tracker, --epochs"
    assert f"leave out --lr, --seed (only {may_change} may change)" in said


def test_a_configuration_that_is_none_is_named(tmp_path, capsys):
    (tmp_path / "config.json").write_bytes("{'größe'}".encode("latin-1"))
    said = error_of(capsys, "--resume-run", str(tmp_path))
    assert f"--resume-run {tmp_path}: config.json is not text" in said
    (tmp_path / "config.json").write_text("{}")
    said = error_of(capsys, "--resume-run", str(tmp_path))
    assert f"--resume-run {tmp_path}: not a run's config.json" in said


def test_the_key_itself_is_not_repeated(capsys):
    assert "secret" not in error_of(capsys, "--wandb_key", "secret")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheduler", "cosine", "--lr-decay-step", "5"], "--lr-decay-step has no effect with --scheduler cosine"),
        (["--sgd-momentum", "0.5"], "--sgd-momentum has no effect with --optimizer adamw"),
        (["--nesterov", "1"], "--nesterov has no effect with --optimizer adamw"),
        (["--sampler", "random", "--IPC", "5"], "--IPC has no effect with --sampler random"),
        (
            ["--dataset", "cub", "--keep-copies", "1"],
            "--keep-copies has no effect with --dataset cub",
        ),
    ],
)
def test_flags_without_effect_are_a_warning(arguments, message):
    with pytest.warns(ConfigWarning, match=message):
        train(*arguments)


def test_paths_become_absolute():
    assert train("--data-dir", "photos").data.data_dir == str(Path.cwd() / "photos")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "/nowhere/m.json"], "--json /nowhere/m.json: there is no such folder"),
        (["--gallery", "picture.txt"], "must end in .png"),
        (["--metrics", "map"], "unknown metric 'map'"),
    ],
)
def test_evaluation_refuses_before_it_works(capsys, arguments, message):
    assert message in error_of(capsys, "--ckpt", "some.pth", *arguments, parse=parse_evaluate)


@pytest.mark.parametrize("arguments", [["--warm", "60"], ["--lr-decay-step", "60"]], ids=["warm-up", "decay"])
def test_steps_beyond_the_epochs_are_a_warning(arguments):
    with pytest.warns(ConfigWarning, match="60"):
        train(*arguments)


def test_evaluation_needs_a_checkpoint(capsys):
    assert "--ckpt FILE" in error_of(capsys, "--dataset", "cub", parse=parse_evaluate)


def test_help_lists_losses_and_defaults(capsys):
    with pytest.raises(SystemExit):
        parse_train(["--help"])
    text = capsys.readouterr().out
    assert "Proxy_Anchor" in text
    assert "--batch-size" in text


def test_field_names_are_unique_over_sections():
    names = [item.name for section in SECTIONS.values() for item in dataclasses.fields(section)]
    assert len(names) == len(set(names))
