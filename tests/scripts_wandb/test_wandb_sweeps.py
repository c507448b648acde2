"""Every sweep starts what our parsers take, and chooses by held-out classes alone."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.config import ConfigWarning, TrainConfig
from dml.metric_names import metric_of
from entrypoints import ROOT

SWEEPS = sorted((ROOT / "scripts" / "wandb").glob("sweep_*.yaml"))
PARSERS = {"code/train.py": parse_train, "code/train_target.py": parse_target, "code/train_stml.py": parse_stml}
DRAWS = 5


def words_of(sweep: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """What W&B's agent starts for these values of the parameters."""
    macros = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    macros |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
    words = [
        macros.get(word[2:-1], []) if word.startswith("${") else [word]
        for word in create_sweep_command(sweep["command"])
    ]
    return list(itertools.chain.from_iterable(words))


def config_of(sweep: dict[str, Any], values: dict[str, Any]) -> TrainConfig:
    words = words_of(sweep, values)
    assert words[:3] == ["/usr/bin/env", "python", sweep["program"]]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConfigWarning)
        return PARSERS[sweep["program"]](words[3:]).config


def ends(parameter: dict[str, Any]) -> list[Any]:
    """All values, or the first and the last."""
    if "values" in parameter:
        return parameter["values"]
    assert all(isinstance(parameter[end], int | float) for end in ("min", "max")), "YAML takes 1e-4 for a text"
    return [parameter["min"], parameter["max"]]


def drawn(parameter: dict[str, Any], rng: np.random.Generator) -> Any:
    if "values" in parameter:
        return parameter["values"][rng.integers(len(parameter["values"]))]
    low, high = ends(parameter)
    if parameter.get("distribution") == "log_uniform_values":
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return float(rng.uniform(low, high))


def test_the_main_methods_have_one():
    names = {file.stem.removeprefix("sweep_") for file in SWEEPS}
    assert names >= {"proxy_anchor", "proxy_isa", "multi_similarity", "triplet", "lsd", "idml", "stml", "transfer"}
    page = (ROOT / "docs" / "dashboards.md").read_text()
    assert all(f"`{file.name}`" in page for file in SWEEPS)


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_drawn_command_lines_resolve(file):
    sweep, rng = yaml.safe_load(file.read_text()), np.random.default_rng(0)
    for _ in range(DRAWS):
        config_of(sweep, {name: drawn(parameter, rng) for name, parameter in sweep["parameters"].items()})


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_parameter_changes_the_run(file):
    sweep = yaml.safe_load(file.read_text())
    first = {name: ends(parameter)[0] for name, parameter in sweep["parameters"].items()}
    for name, parameter in sweep["parameters"].items():
        configs = [config_of(sweep, first | {name: value}).to_json() for value in ends(parameter)]
        assert len(set(configs)) == len(configs), name


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_held_out_classes_choose_and_the_test_split_is_not_looked_at(file):
    sweep = yaml.safe_load(file.read_text())
    config = config_of(sweep, {name: ends(parameter)[0] for name, parameter in sweep["parameters"].items()})
    metric = sweep["metric"]["name"]
    assert metric == f"val/{config.evaluation.select_metric}"
    lower_is_better = metric_of(config.evaluation.select_metric).lower_is_better
    assert sweep["metric"]["goal"] == ("minimize" if lower_is_better else "maximize")
    assert (config.evaluation.select, config.evaluation.eval_test_every) == ("val", 0)
    assert config.data.fold == "1/4"
    assert sweep["early_terminate"]["min_iter"] < config.optim.epochs
    # W&B keeps the parameters of a sweep from being written over by what a run records under the same name.
    assert not sweep["parameters"].keys() & config.record().keys()
    assert f"scripts/wandb/{file.name}" in file.read_text()
