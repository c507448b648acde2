"""IDML's flags: its published commands and defaults, and which losses take the introspective metric."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import published_flags
import pytest
from published_flags import COMMON, assert_arrives
from test_cli import assert_default, error_of, flat, train

from dml.config import IntrospectiveConfig, train_config_from_json
from dml.losses import LOSSES
from test_scripts import ROOT, command_of

REFERENCE = Path(__file__).parent.parent / "reference"
FLAGS = published_flags.FLAGS["idml/train"]


def published_commands() -> list[list[str]]:
    """The arguments of every command that the IDML README prints."""
    section = (REFERENCE / "commands.md").read_text().split("\n## idml\n")[1].split("\n## ")[0]
    blocks = [block.replace("\\\n", " ") for block in re.findall(r"```\n(.*?)```", section, flags=re.DOTALL)]
    return [shlex.split(block.partition("train.py")[2]) for block in blocks]


COMMANDS = published_commands()


def dataset(command: list[str]) -> str:
    return command[command.index("--dataset") + 1]


def test_all_published_commands_were_found():
    assert [dataset(command) for command in COMMANDS] == ["cub", "cars", "SOP"]


@pytest.mark.parametrize("command", COMMANDS, ids=dataset)
def test_published_commands_and_one_flag_more(command):
    """Every typed value arrives, and the rest is IDML's recipe; the script is that command."""
    config = train(*command, "--introspective")
    values = flat(config)
    for flag, text in zip(command[::2], command[1::2], strict=True):
        name = flag.removeprefix("--").replace("-", "_")
        if name not in ("gpu", "loss"):
            assert values[name] == type(values[name])(text), name
    assert values["gpu_id"] == (-1,)
    assert (config.recipe, config.loss.mixup, config.introspective) == ("idml", True, IntrospectiveConfig())
    script = ROOT / "scripts" / dataset(command).lower() / "idml_resnet50.sh"
    assert train(*command_of(script)[1:]) == config


@pytest.mark.parametrize("entry", [e for e in FLAGS if "default" in e], ids=lambda e: e["flags"][0])
def test_published_defaults(entry):
    """What the published train.py does without a flag is what ours does with --introspective."""
    config, expected = train("--introspective"), entry["default"]
    name = entry["flags"][0].strip("-").replace("-", "_")
    if name in ("alpha", "mrg"):
        assert LOSSES[config.loss.loss].default(name) == expected
    else:
        assert_default(config, name, expected)


@pytest.mark.parametrize("entry", FLAGS, ids=lambda e: e["flags"][0])
def test_published_flags_arrive_in_both_spellings(entry):
    assert_arrives(train, entry, COMMON, beside=["--introspective"])


def test_evaluated_by_cosine_with_the_metrics_of_its_tables():
    evaluation = train("--introspective").evaluation
    assert (evaluation.eval_distance, evaluation.select_metric) == ("cosine", "recall_at_1")
    assert set(evaluation.metrics) == {"recall", "nmi", "f1", "r_precision", "map_at_r"}


@pytest.mark.parametrize(
    ("arguments", "recipe", "mixup"),
    [
        (["--loss", "Proxy_Anchor"], "idml", True),
        (["--loss", "Proxy_NCA"], "idml", True),
        (["--loss", "MS"], "idml", True),
        (["--loss", "Contrastive"], "idml", True),
        (["--loss", "Triplet", "--mixup", "0"], "idml", False),
        (["--loss", "ProxyAnchor"], "proxy_isa", False),
        (["--loss", "ProxyISA", "--enableMemory", "--mixup"], "proxy_isa", True),
        (["--loss", "MS", "--enableMemory"], "proxy_isa", False),
        (["--loss", "Proxy_Anchor_lsd"], "idml", True),
        (["--as-source", "--save"], "transfer_source", False),
    ],
)
def test_whose_defaults_apply(arguments, recipe, mixup):
    config = train(*arguments, "--introspective")
    assert (config.recipe, config.loss.mixup) == (recipe, mixup)
    assert config.introspective is not None


def test_without_the_flag_nothing_is_introspective_and_mixup_is_a_flag_of_its_own():
    assert (train().introspective, train().loss.mixup) == (None, False)
    assert train("--introspective", "0").recipe == "proxy_anchor"
    assert train("--mixup").recipe == "proxy_anchor"
    assert train("--mixup").loss.mixup is True


def test_run_names_tell_them_apart():
    names = {train(*flags).default_run_name() for flags in ([], ["--mixup"], ["--introspective"])}
    assert len(names) == 3
    assert any("Proxy_Anchor_introspective_mixup" in name for name in names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss", "NPair", "--introspective"], "--introspective is not used by --loss NPair, but by Proxy_Anchor"),
        (["--introspective-tau", "3"], "--introspective-tau is used by the introspective metric only"),
        (["--uncertainty-norm"], "--uncertainty-norm is used by the introspective metric only: add --introspective"),
        (["--introspective", "--introspective-tau", "0"], "--introspective-tau must be positive, got 0.0"),
        (["--introspective", "--introspective-gamma", "-1"], "--introspective-gamma must be 0 or more, got -1.0"),
    ],
)
def test_mistakes_are_named(capsys, arguments, message):
    assert message in error_of(capsys, *arguments)


def test_configuration_survives_json():
    config = train("--introspective", "--introspective_tau", "3", "--uncertainty_norm", "1", "--mixup", "0")
    assert train_config_from_json(config.to_json()) == config
