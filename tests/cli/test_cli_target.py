"""The command line of train_target.py: published flags, defaults and commands, and errors that say what is wrong."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import published_flags
import pytest
from published_flags import TRANSFER, assert_arrives
from test_cli import assert_default, error_of

from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.config import ConfigWarning, train_config_from_json
from dml.losses.transfer import TRANSFER_LOSSES

REFERENCE = Path(__file__).parent.parent / "reference"
FLAGS = published_flags.FLAGS["label_relaxation/train_target"]


def target(*arguments: str):
    return parse_target(["--source-ckpt", "source.pth", *arguments]).config


def commands() -> list[list[str]]:
    """The words of every published command, after the script's name."""
    text = (REFERENCE / "commands.md").read_text()
    found = re.findall(r"^python code/train_target.py ((?:.*\\ ?\n)*.*)$", text, re.MULTILINE)
    return [shlex.split(re.sub(r"\\ ?\n", " ", command)) for command in found]


@pytest.mark.parametrize("entry", [e for e in FLAGS if "default" in e], ids=lambda e: e["flags"][0])
def test_published_defaults(entry):
    config = target()
    name, expected = entry["flags"][0].strip("-").replace("-", "_"), entry["default"]
    if name in ("sigma", "delta"):
        assert TRANSFER_LOSSES["Relaxed_Contra"].default(name) == expected
    elif name in ("source_norm", "view"):
        assert getattr(config.transfer, name) == expected
    elif name == "save":  # a departure: the best network is kept
        assert (config.run.save, target("--save", "0").run.save) == (True, False)
    elif name != "source_ckpt":
        assert_default(config, name, expected)


@pytest.mark.parametrize("entry", FLAGS, ids=lambda e: e["flags"][0])
def test_published_flags_arrive_in_both_spellings(entry):
    assert_arrives(target, entry, TRANSFER)


def test_published_commands_parse():
    assert len(commands()) == 9
    for words in commands():
        config = parse_target(words).config
        assert config.transfer.view == 2
        assert config.data.IPC == 3
        assert Path(config.transfer.source_ckpt).is_absolute()


def test_the_unwritten_part_of_the_recipe():
    config = target()
    assert (config.optim.scheduler, config.optim.clip_value, config.optim.adam_eps) == ("cosine", 0, 1)
    assert (config.run.seed, config.evaluation.eval_distance, config.model.head_init) == (0, "euclidean", "orthogonal")
    assert not config.model.l2_norm


def test_the_json_round_trip():
    config = target("--loss", "CRD", "--crd-negatives", "7", "--view", "3")
    assert train_config_from_json(config.to_json()) == config


def test_options_of_the_losses():
    options = target("--sigma", "0.5", "--loss", "Relaxed_MS", "--view", "2").loss.options
    assert options == {"sigma": 0.5, "delta": 1.0, "forced-pairs": True}
    assert not target("--loss", "Relaxed_MS", "--forced-pairs", "0", "--view", "2").loss.options["forced-pairs"]
    with pytest.warns(ConfigWarning, match="--view 1"):
        target("--loss", "Relaxed_MS")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss", "RKD", "--sigma", "1"], "--sigma is not used by --loss RKD, but by Relaxed_Contra"),
        (["--loss", "Relaxed"], "unknown transfer loss 'Relaxed'"),
        (["--loss", "RKD", "--proxy-lr-scale", "3"], "which has no proxies"),
        (["--init-type", "center"], "--init-type is not used"),
        (["--as-source"], "--as-source is not used"),
        (["--head-lr", "1"], "--head-lr is not used"),
        (["--cache-source"], "add --augment 0"),
        (["--cache-source", "--augment", "0", "--loss", "CRD"], "--loss CRD compares features"),
        (["--view", "0"], "--view must be at least 1"),
        (["--source-ckpt", ""], "--source-ckpt: the value is empty"),
        (["--wandb_key", "secret"], "WANDB_API_KEY"),
    ],
)
def test_errors(capsys, arguments, message):
    assert message in error_of(capsys, "--source-ckpt", "source.pth", *arguments, parse=parse_target)


def test_a_run_is_continued_by_the_entry_point_that_made_it(capsys, tmp_path):
    for config, parse, entry in (
        (target(), parse_train, "code/train_target.py"),
        (parse_train([]).config, parse_target, "code/train.py"),
    ):
        (tmp_path / "config.json").write_text(config.to_json())
        assert f"is a run of {entry}" in error_of(capsys, "--resume-run", str(tmp_path), parse=parse)
