"""All settings of a run, those too that an older version left open or did not know."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from dml.config import ConfigWarning, TrainConfig, train_config_from_json
from dml.errors import UserError
from dml.report.groups import CHANGES_NOTHING
from dml.report.runs import Run, flat


def with_all_settings(runs: Sequence[Run]) -> list[Run]:
    """The runs with a value for each setting that their configurations lack: what the run had without it.

    Where runs of a loss do not all say the same, what is unset and the options of losses get their values too, as of a
    run that is continued. That loads torch, which takes seconds.
    """
    known = [_settled(run) for run in runs]
    said = defaultdict(set)
    for run in known:
        there = {name for name, value in run.config.items() if value is not None} - set(CHANGES_NOTHING)
        said[run.config.get("loss.loss")].add(frozenset(there))
    if all(len(kinds) == 1 for kinds in said.values()):
        return known
    from dml.methods.effective import effective

    return [_settled(run, effective) for run in runs]


def _settled(run: Run, settle: Callable[[TrainConfig], TrainConfig] = lambda config: config) -> Run:
    """``run`` with what ``settle`` makes of its configuration; as it is if this version does not know that."""
    found = {"select": "val" if run.select_metric.startswith("val/") else "test"}
    if run.config.get("self_taught.unlabelled", True) is None:
        found["unlabelled"] = False  # as of every run that has figures
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConfigWarning)
            config = settle(train_config_from_json(json.dumps(run.stored), found))
    except UserError:
        return run
    return replace(run, config=flat(json.loads(config.to_json())))
