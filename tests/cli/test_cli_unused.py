"""Flags that other settings leave without effect: each declared condition is said where it fails, and only there."""

from __future__ import annotations

import functools
import io
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from pathlib import Path
from unittest.mock import patch

import pytest
import test_cli_classify_historic
import test_cli_idml
import test_cli_lsd
import test_cli_proxy_isa
import test_cli_stml
import test_cli_target
from torch import nn
from unused_cases import CASES

from dml.cli.classify import classify_parser, parse_classify
from dml.cli.evaluate import complete, evaluate_parser, parse_evaluate
from dml.cli.report import report_parser
from dml.cli.stml import parse_stml, stml_parser
from dml.cli.target import parse_target, target_parser
from dml.cli.train import parse_train, train_parser
from dml.conditions import Condition
from dml.config import OWN_SECTIONS, SECTIONS, ConfigWarning
from dml.losses import LOSSES, choose_loss, create_loss
from dml.models import Architecture
from dml.models.backbones import BACKBONES, class_of
from dml.models.convert import LoadedModel
from test_scripts import ROOT, SCRIPTS, command_of


def evaluate(words: Sequence[str]) -> None:
    config = parse_evaluate(["--ckpt", "some.pt", *words])
    complete(config, LoadedModel(None, Architecture(backbone="resnet18", embedding_size=16), "", None))


PARSERS = {
    "train": train_parser(),
    "target": target_parser(),
    "main": stml_parser(),
    "classify": classify_parser(),
    "evaluate": evaluate_parser(),
    "report": report_parser(),
}
PARSE = {
    "train": parse_train,
    "target": lambda words: parse_target(["--source-ckpt", "source.pth", *words]),
    "main": parse_stml,
    "classify": parse_classify,
    "evaluate": evaluate,
}
UNUSED = re.compile(r"has no effect|is not used by|is used by")


@functools.cache
def said_of_unused(program: str, words: str) -> tuple[str, ...]:
    """What the program says of flags without effect, as warnings or an error."""
    errors = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stderr(errors):
        warnings.simplefilter("always")
        with patch("dml.cli.command.check_start"), suppress(SystemExit):
            PARSE[program](words.split())
    said = [str(item.message) for item in caught if issubclass(item.category, ConfigWarning)]
    said += [line.partition(": error: ")[2].rpartition(" (")[0] for line in errors.getvalue().splitlines()]
    return tuple(text for text in said if UNUSED.search(text))


@pytest.mark.parametrize(("program", "flag", "unused", "said", "used"), CASES, ids=str)
def test_a_flag_without_effect_is_named_and_one_with_is_not(program, flag, unused, said, used):
    name = flag.split()[0]
    told = said_of_unused(program, f"{flag} {unused}")
    assert [text for text in told if text.startswith(f"{name} {said}")], told
    if used is not None:
        assert [text for text in said_of_unused(program, f"{flag} {used}") if text.startswith(name)] == []


def declared() -> list[tuple[str, Condition]]:
    """Every condition of every flag of every program, each pair of destination and condition once."""
    found = [
        (dest, condition)
        for parser in PARSERS.values()
        for dest, conditions in parser.conditions.items()
        for condition in conditions
    ]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("dest", "condition"), declared(), ids=lambda value: getattr(value, "otherwise", value))
def test_every_declared_condition_has_a_case(dest, condition):
    wording = re.compile(r"--\S+ " + re.sub(r"\\{\w+\\}", ".+", re.escape(condition.otherwise)))
    cases = [
        (program, f"{flag} {unused}")
        for program, flag, unused, *_ in CASES
        if PARSERS[program]._option_string_actions[flag.split()[0]].dest == dest
    ]
    assert any(wording.fullmatch(text) for case in cases for text in said_of_unused(*case))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_flag_of_our_scripts_has_an_effect(script):
    program, *words = command_of(script)
    name = {"train_target.py": "target", "train_stml.py": "main"}.get(Path(program).name, Path(program).stem)
    assert said_of_unused(name, " ".join(words)) == ()


PUBLISHED = [
    *(("main", words) for words in test_cli_stml.commands()),
    *(("target", words) for words in test_cli_target.commands()),
    *(("train", words) for words in test_cli_proxy_isa.TRAINING),
    *(("train", [*words, "--introspective"]) for words in test_cli_idml.COMMANDS),
    ("train", test_cli_lsd.BASIC),
    ("train", [*test_cli_lsd.BASIC, "--loss", "triplet_lsd", "--kd_alpha", "50.0", "--kd_tau", "1.0"]),
    *(("classify", command.split()) for command, _, _ in test_cli_classify_historic.PUBLISHED),
]


@pytest.mark.parametrize(("program", "words"), PUBLISHED, ids=lambda value: str(value)[:60])
def test_every_flag_of_the_published_commands_has_an_effect(program, words):
    assert said_of_unused(program, " ".join(words)) == ()


def test_names_of_settings_are_unique():
    """Conditions look settings up by name: those of sections, and options of losses and miners."""
    fields = {name for section in (SECTIONS | OWN_SECTIONS).values() for name in section.__dataclass_fields__}
    options = {dest.partition(".")[2] for parser in PARSERS.values() for dest in parser_dests(parser) if "." in dest}
    assert not fields & options


def parser_dests(parser) -> set[str]:
    return {action.dest for action in parser._actions}


@pytest.mark.parametrize("name", BACKBONES)
def test_which_networks_have_batch_normalisation(name):
    found = any(isinstance(module, nn.BatchNorm2d) for module in BACKBONES[name]().modules())
    assert class_of(BACKBONES[name]).has_batch_norm == found


@pytest.mark.parametrize("name", [name for name, spec in LOSSES.items() if spec.lr_scale is not None])
def test_which_losses_have_proxies(name):
    spec = choose_loss(name, memory=False).spec
    assert spec.has_proxies == hasattr(create_loss(name, num_classes=3, embedding_size=4), "proxies")


def test_a_user_is_told(tmp_path):
    words = ["--dataset", "cub", "--data-dir", str(tmp_path), "--optimizer", "sgd", "--adam_eps", "1e-6"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "code" / "train.py"), *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "adam_eps" in line]
    assert lines == ["warning: --adam_eps has no effect with --optimizer sgd, but with adam"]
