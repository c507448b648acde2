"""Figures that papers report, to stand beside ours: ``reported.csv``, which scripts/make_scripts.py writes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dml.config import OWN_SECTIONS, default_data_name
from dml.metric_names import is_share

FILE = Path(__file__).with_name("reported.csv")


@dataclass(frozen=True)
class Reported:
    """What a paper reports of a method.

    Attributes:
        paper: authors, title, where, year.
        metrics: key → value, shares in 0..1.
    """

    paper: str
    metrics: dict[str, float] = field(default_factory=dict)


def reported_of(config: Mapping[str, Any]) -> Reported | None:
    """What is reported for the data set, the loss and what it is combined with, the network and the embedding size of a
    run; None where nothing is.

    Args:
        config: the run's settings, dotted name → value.
    """
    dataset = config.get("data.dataset")
    if config.get("data.data_name", dataset) != default_data_name(dataset or "", ""):
        return None  # other images in its place
    sections = {name.partition(".")[0] for name in config if "." in name} & OWN_SECTIONS.keys()
    with_ = sections | {name for name in ("memory", "mixup") if config.get(f"loss.{name}")}
    size = "" if "classification" in sections else str(config.get("model.embedding_size"))
    return _table().get((dataset, config.get("loss.loss"), frozenset(with_), config.get("model.model"), size))


@cache
def _table() -> dict[tuple, Reported]:
    found: dict[tuple, Reported] = {}
    with FILE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            with_ = frozenset(row["with"].split())
            key = (row["dataset"], row["loss"], with_, row["network"], row["embedding_size"])
            metrics = found.setdefault(key, Reported(row["paper"])).metrics
            metrics[row["metric"]] = float(row["value"]) / (100 if is_share(row["metric"]) else 1)
    return found
