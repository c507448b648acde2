"""Numbers out of range: every numeric flag declares its range, and no program takes a value outside it."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import math
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from test_cli import error_of
from test_cli_unused import PARSERS

from dml.cli.choices import option_owners
from dml.cli.classify import parse_classify
from dml.cli.evaluate import parse_evaluate
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.config import OWN_SECTIONS, SECTIONS, EvaluateConfig
from dml.losses import LOSSES, create_loss
from dml.losses.self_taught import SELF_TAUGHT_LOSSES
from dml.losses.transfer import TRANSFER_LOSSES
from dml.miners import MINERS, create_miner
from dml.ranges import Range
from test_scripts import ROOT

PARSE = {
    "train": parse_train,
    "target": parse_target,
    "main": parse_stml,
    "classify": parse_classify,
    "evaluate": parse_evaluate,
}
DRAWS = 2  # of each kind, for each flag


def numeric(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    return (action for action in parser._actions if action.type in (int, float))


FLAGS = [(program, action) for program, parser in PARSERS.items() for action in numeric(parser)]


def named(value: object) -> str:
    return value.option_strings[0] if isinstance(value, argparse.Action) else str(value)


def inside(within: Range, kind: type, rng: random.Random) -> list[float]:
    """Values that the range has: its ends, near them, and any."""
    low = within.low if math.isfinite(within.low) else -1000
    high = within.high if math.isfinite(within.high) else low + 1000
    drawn = [low, high, *within.also, *(rng.uniform(low, high) for _ in range(DRAWS)), low + 10 ** -rng.uniform(1, 6)]
    if kind is int:
        drawn = [*map(math.ceil, drawn[:2]), *(rng.randint(math.ceil(low), math.floor(high)) for _ in range(DRAWS))]
    return [kind(value) for value in drawn if value in within]


def outside(within: Range, kind: type, rng: random.Random) -> list[float]:
    """Values that it does not have: its open ends, just beyond an end, and far away."""
    drawn: list[float] = [] if kind is int else [math.nan, math.inf, -math.inf]
    for end, beyond in ((within.low, -1), (within.high, 1)):
        if math.isfinite(end):
            steps = [0, *(10 ** rng.uniform(-4, 6) for _ in range(DRAWS))]
            drawn += [end + beyond * (math.ceil(step) if kind is int else step) for step in steps]
    return [kind(value) for value in drawn if value not in within]


def generator(*names: object) -> random.Random:
    return random.Random(" ".join(map(str, names)))


@pytest.mark.parametrize(("program", "action"), FLAGS, ids=named)
def test_every_numeric_flag_has_a_range_or_says_why_not(program, action):
    within = PARSERS[program].ranges[action.dest]
    is_bounded = math.isfinite(within.low) or math.isfinite(within.high)
    assert is_bounded != bool(within.why)


@pytest.mark.parametrize(("program", "action"), FLAGS, ids=named)
def test_no_program_takes_a_number_out_of_range(program, action, capsys):
    within, rng = PARSERS[program].ranges[action.dest], generator(program, action.dest)
    for value in outside(within, action.type, rng):
        flag = rng.choice(action.option_strings)
        words = [f"{flag}={value!r}"] if flag.startswith("--") else [flag, repr(value)]
        must = str(within) if math.isfinite(value) else "be a finite number"
        said = error_of(capsys, *words, parse=PARSE[program])
        assert said.startswith(f"{PARSERS[program].prog}: error: {flag} must {must}, got {value}")
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize(("program", "action"), FLAGS, ids=named)
def test_numbers_in_range_and_the_default_are_taken(program, action):
    within = PARSERS[program].ranges[action.dest]
    for value in inside(within, action.type, generator(program, action.dest)):
        typed = PARSERS[program].parse_typed([f"{action.option_strings[-1]}={value!r}"])
        assert typed[action.dest] in (value, [value])


SETTINGS = [
    (section, item)
    for section in (*SECTIONS.values(), *OWN_SECTIONS.values(), EvaluateConfig)
    for item in dataclasses.fields(section)
    if item.metadata["within"] is not None
]
NEEDED = {"source_ckpt": "s.pt", "ckpt": "s.pt", "noisy_ratio": 0.1}


@pytest.mark.parametrize(("section", "item"), SETTINGS, ids=lambda value: getattr(value, "name", value.__class__))
def test_sections_check_the_same_ranges(section, item):
    """Also of a run's recorded settings, and of those that are built without a command line."""
    needed = {name: value for name, value in NEEDED.items() if name in section.__dataclass_fields__}
    within, many = item.metadata["within"], isinstance(item.default, tuple)
    flag = "--" + item.name.replace("_", "-")
    section(**needed)
    for value in outside(within, float, generator(item.name)):
        if value == 0 and item.name == "noisy_ratio":  # it was not given
            continue
        with pytest.raises(ValueError, match=f"{flag} must "):
            section(**needed | {item.name: (value,) if many else value})


OPTIONS = [
    (registry, name, flag)
    for registry in (LOSSES, MINERS, SELF_TAUGHT_LOSSES, TRANSFER_LOSSES)
    for name, spec in registry.items()
    for flag, option in spec.options.items()
    if option.within is not None
]


@pytest.mark.parametrize(("registry", "name", "flag"), OPTIONS, ids=lambda v: getattr(v, "kind", v))
def test_what_an_option_may_be_builds(registry, name, flag):
    """A default lies within its option's range, and what the range allows, the loss or miner takes."""
    spec = registry[name]
    within, default = spec.options[flag].within, spec.default(flag)
    assert default in within
    for value in inside(within, type(default), generator(name, flag)):
        if _depends_on_others(flag, value):
            continue
        if registry is LOSSES:
            create_loss(name, num_classes=3, embedding_size=8, options={} if flag == spec.lr_option else {flag: value})
        elif registry is MINERS:
            create_miner(name, embedding_size=8, margin=0.1, options={flag: value})
        else:
            given = {"embedding_size": 8, "predictor_width": 8, "target_features": 4, "source_features": 4}
            given |= {"target_channels": (4,), "source_channels": (4,), "labels": torch.arange(3)}
            taken = inspect.signature(spec.build).parameters
            given = {argument: value for argument, value in given.items() if argument in taken}
            spec.build(**given, **{spec.options[flag].argument: value})


@pytest.mark.parametrize("registry", [LOSSES, MINERS, SELF_TAUGHT_LOSSES, TRANSFER_LOSSES], ids=lambda v: v.kind)
def test_entries_that_share_an_option_declare_it_alike(registry):
    """A flag has one range and one set of conditions, whichever loss it is typed with."""
    for flag, owners in option_owners(registry).items():
        declared = {(spec.options[flag].within, spec.options[flag].used_if) for _, spec in owners}
        assert len(declared) == 1, flag


def _depends_on_others(flag: str, value: float) -> bool:
    """Limits that other settings set: the embedding's size, the memory's, the other end of a support."""
    return (
        (flag == "loss_adversarial_separation_parts" and 8 % value)
        or (flag in ("topk", "memory-size") and value < 9600)
        or (flag == "miner_parametric_low" and value >= 1.4)
        or (flag == "miner_parametric_high" and value <= 0.1)
    )


def test_a_user_is_told_before_anything_is_read(tmp_path):
    words = ["--proxy-lr-scale", "-5", "--dataset", "folder", "--data-dir", str(tmp_path / "nowhere")]
    done = subprocess.run([sys.executable, str(ROOT / "code" / "train.py"), *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "train.py: error: --proxy-lr-scale must be 0 or more, got -5.0 (train.py --help all lists all flags)\n"
    )
