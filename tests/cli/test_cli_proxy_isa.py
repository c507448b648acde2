"""Proxy-ISA's flags: its published commands and defaults, its memory, and whose defaults a spelling brings."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path

import pytest
from published_flags import FLAGS, PROXY_ISA, assert_arrives
from test_cli import assert_default, error_of, flat, train

from dml.cli.evaluate import parse_evaluate
from dml.cli.train import parse_train
from dml.config import ConfigWarning, train_config_from_json
from dml.losses import LOSSES, choose_loss
from test_scripts import ROOT, command_of

REFERENCE = Path(__file__).parent.parent / "reference"
NAMES = {"T": "memory-size", "start_epoch": "start-epoch"}
BOOLEANS = {"True": True, "False": False}


def published_commands() -> list[list[str]]:
    """The words of every command that the Proxy-ISA README prints."""
    section = (REFERENCE / "commands.md").read_text().split("\n## proxy_isa\n")[1].split("\n## ")[0]
    blocks = [block.replace("\\\n", " ") for block in re.findall(r"```\n(.*?)```", section, flags=re.DOTALL)]
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines() if line.startswith("python")]


TRAINING = [command[1:] for command in published_commands() if command[0] == "train.py"]
EVALUATION = [command[1:] for command in published_commands() if command[0] == "evaluate.py"]


def case(command: list[str]) -> str:
    """Data set and backbone of a command."""
    return f"{command[command.index('--dataset') + 1]}-{command[command.index('--model') + 1]}"


def test_all_published_commands_were_found():
    assert (len(TRAINING), len(EVALUATION)) == (6, 1)


@pytest.mark.parametrize("command", TRAINING, ids=case)
def test_published_training_commands(command):
    """Every typed value arrives, and the rest is Proxy-ISA's recipe."""
    config = train(*command)
    typed = {name.removeprefix("--"): value for name, value in zip(command[::2], command[1::2], strict=True)}
    assert config.recipe == "proxy_isa"
    assert config.loss.memory is True
    assert choose_loss(config.loss.loss, memory=True).name == "proxy_isa"
    defaults = {flag: LOSSES["proxy_isa"].default(flag) for flag in LOSSES["proxy_isa"].options}
    assert config.loss.options == defaults | {"k": float(typed.get("k", 0.9))}
    values = flat(config)
    for name, text in typed.items():
        if name not in ("loss", "k", "enableMemory", "gpu_id"):
            assert values[name] == BOOLEANS.get(text, type(values[name])(text)), name
    assert values["gpu_id"] == (0,)
    published = {"epochs": 100, "seed": 67, "select_metric": "map_at_r", "clip_value": 10.0, "eval_distance": "cosine"}
    assert published.items() <= values.items()
    assert values["pooling"] == ("avg" if typed["model"] == "bn_inception" else "avg_max")
    assert values["optimizer"] == typed.get("optimizer", "adam")
    assert values["warm"] == int(typed.get("warm", 1))


@pytest.mark.parametrize("command", TRAINING, ids=case)
def test_scripts_are_the_published_commands(command):
    dataset, model = case(command).lower().split("-")
    script = ROOT / "scripts" / dataset / f"proxy_isa_{model}.sh"
    assert train(*command_of(script)[1:]) == train(*command)


def test_published_evaluation_command():
    config = parse_evaluate(EVALUATION[0])
    assert (config.model, config.dataset, config.batch_size) == ("bn_inception", "cub", 128)
    assert config.ckpt == "/PATH/TO/YOUR/Model.pth"


@pytest.mark.parametrize("entry", FLAGS["proxy_isa/train"], ids=lambda e: e["flags"][0])
def test_published_defaults(entry):
    """What the published train.py does without a flag is what ours does with --loss ProxyISA."""
    name, expected = entry["flags"][0].strip("-"), entry["default"]
    config = train("--loss", "ProxyISA", "--enableMemory")
    spec = choose_loss("ProxyISA", memory=True).spec
    if NAMES.get(name, name) in spec.options:
        assert spec.default(NAMES.get(name, name)) == expected
    elif name == "ncaScale":
        assert LOSSES["ProxyNCA"].default("nca-scale") == expected
    elif name == "enableMemory":
        assert train("--loss", "ProxyISA").loss.memory is expected
    elif name == "eval_metric":
        assert (expected, config.evaluation.select_metric) == ("MLRC", "map_at_r")
        assert "map_at_r" in config.evaluation.metrics
    else:
        assert_default(config, name, expected)


@pytest.mark.parametrize("entry", FLAGS["proxy_isa/train"], ids=lambda e: e["flags"][0])
def test_published_flags_arrive_in_both_spellings(entry):
    name = entry["flags"][0].strip("-")
    beside = {
        "ncaScale": ["--loss", "ProxyNCA"],
        "enableMemory": ["--loss", "ProxyISA"],
        "loss": ["--loss", "ProxyISA"],
    }
    assert_arrives(
        train,
        entry,
        PROXY_ISA,
        beside=beside.get(name, ["--loss", "ProxyISA", "--enableMemory", "True"]),
        is_default=name == "eval_metric",
    )


@pytest.mark.parametrize(
    ("arguments", "name", "recipe"),
    [
        (["--loss", "ProxyISA"], "proxy_isa_without_memory", "proxy_isa"),
        (["--loss", "ProxyISA", "--enableMemory", "True"], "proxy_isa", "proxy_isa"),
        (["--loss", "proxy_isa"], "proxy_isa", "proxy_isa"),
        (["--loss", "Proxy_Anchor"], "proxy_anchor", "proxy_anchor"),
        (["--loss", "ProxyAnchor"], "proxy_anchor", "proxy_isa"),
        (["--loss", "ProxyNCA"], "proxy_nca_without_positive", "proxy_isa"),
        (["--loss", "MS"], "multi_similarity_mined", "proxy_anchor"),
        (["--loss", "MS", "--memory"], "multi_similarity_memory", "proxy_isa"),
        (["--loss", "Contrastive", "--enable-memory", "1"], "contrastive_memory", "proxy_isa"),
        (["--loss", "Contrastive", "--enableMemory", "0"], "contrastive_all_pairs", "proxy_anchor"),
    ],
)
def test_spelling_and_memory_select_function_and_recipe(arguments, name, recipe):
    config = train(*arguments)
    assert choose_loss(config.loss.loss, memory=config.loss.memory).name == name
    assert config.recipe == recipe


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss", "Triplet", "--enableMemory"], "--enableMemory is not used by --loss Triplet, but by ProxyISA, MS"),
        (["--loss", "ProxyISA", "--k", "0.4"], "--k is used by --loss ProxyISA with --enableMemory only"),
        (["--loss", "MS", "--T", "900"], "--memory-size is used by --loss MS with --enableMemory only"),
        (
            ["--loss", "ProxyISA", "--memory", "--T", "100"],
            "--memory-size (--T) 100 is smaller than a batch, --batch-s",
        ),
        (["--loss", "ProxyISA", "--init_type", "zero"], "--init-type 'zero' is not one of normal, uniform, center"),
        (["--loss", "MS", "--init_type", "center"], "--init_type is not used by --loss MS, which has no proxies"),
        (["--eval_metric", "recall"], "invalid choice: 'recall'"),
    ],
)
def test_mistakes_are_named(capsys, arguments, message):
    assert message in error_of(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss", "ProxyISA"], "without --enableMemory Proxy-ISA stays in its first phase"),
        (["--loss", "ProxyISA", "--enableMemory", "--start_epoch", "100"], "--start-epoch 100 lies beyond"),
        (["--loss", "ProxyISA", "--enableMemory", "--p", "0.5"], "--p has no effect with --sampler random, but"),
        (["--loss", "ProxyISA", "--enableMemory", "--IPC", "4"], "--IPC 4: the number has no effect with --sampler"),
    ],
)
def test_settings_without_effect_are_a_warning(arguments, message):
    with pytest.warns(ConfigWarning, match=message):
        train(*arguments)


def test_the_published_form_needs_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train("--loss", "ProxyISA", "--enableMemory", "True", "--sampler", "power_balanced", "--p", "0.5")


def test_configuration_survives_json():
    config = parse_train(["--loss", "MS", "--enableMemory", "--T", "700"]).config
    assert train_config_from_json(config.to_json()) == config
