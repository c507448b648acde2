"""What is said of every metric: its label, its unit, which way is better, over which queries it is a mean.

Adding a metric takes an entry here and its function under the same name: in ``RETRIEVAL_METRICS`` of
``dml.evaluation.retrieval`` if it is a mean over queries of what their rankings are, else in the table of
``dml.evaluation.metrics``. Flags, records, tables, reports, curves and the choice of the best epoch then know it. An
entry without a function, or a function without an entry, is an error when the evaluation is imported.

Nothing here needs torch, which reports do without.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Function = TypeVar("Function")
Choice = TypeVar("Choice", bound=Hashable)

QUERIES = "queries"
ANSWERED = "queries with an answer"
TOTAL_SECONDS = "total_seconds"
COUNTS = ("queries", "queries_with_answer")
"""Keys of a record that say over how many queries its metrics are; no metrics themselves."""


@dataclass(frozen=True)
class MetricName:
    """A metric, or a family of metrics told apart by a number.

    Attributes:
        label: how tables call it; the number of a family follows.
        is_share: whether it lies in 0..1 and is printed in per cent; False: in units of its own.
        lower_is_better: whether the best epoch is that of its least value.
        over: which queries it is a mean over, ``QUERIES`` or ``ANSWERED``; None: it is no mean over queries.
        is_family: whether a number belongs to it.
    """

    label: str
    is_share: bool = True
    lower_is_better: bool = False
    over: str | None = None
    is_family: bool = False


EMBEDDING_METRICS: dict[str, MetricName] = {
    "recall": MetricName("R@", over=QUERIES, is_family=True),
    "map_at_r": MetricName("MAP@R", over=ANSWERED),
    "r_precision": MetricName("R-precision", over=ANSWERED),
    "precision_at_1": MetricName("P@1", over=QUERIES),
    "e_recall@k": MetricName("e_recall@", over=QUERIES, is_family=True),
    "c_recall@k": MetricName("c_recall@", over=QUERIES, is_family=True),
    "mAP": MetricName("mAP", over=QUERIES),
    "mAP_c": MetricName("mAP_c", over=QUERIES),
    "mAP_lim": MetricName("mAP_lim", over=QUERIES),
    "mAP_1000": MetricName("mAP_1000", over=QUERIES),
    "c_mAP": MetricName("c_mAP", over=QUERIES),
    "c_mAP_c": MetricName("c_mAP_c", over=QUERIES),
    "c_mAP_lim": MetricName("c_mAP_lim", over=QUERIES),
    "c_mAP_1000": MetricName("c_mAP_1000", over=QUERIES),
    "nmi": MetricName("NMI"),
    "f1": MetricName("F1"),
    "c_nmi": MetricName("c_nmi"),
    "c_f1": MetricName("c_f1"),
    "dists@intra": MetricName("dists@intra", is_share=False, lower_is_better=True),
    "dists@inter": MetricName("dists@inter", is_share=False),
    "dists@intra_over_inter": MetricName("dists@intra_over_inter", is_share=False, lower_is_better=True),
    "rho_spectrum@m": MetricName("rho_spectrum@", is_share=False, lower_is_better=True, is_family=True),
}
"""Of embeddings, by the names that ``--metrics`` takes."""

CLASSIFICATION_METRICS: dict[str, MetricName] = {"top_1": MetricName("top-1"), "top_5": MetricName("top-5")}
"""Of a classifier."""

OWN_METRICS: dict[str, MetricName] = {
    "distinct_recall@1": MetricName("distinct R@1"),
    "view_recall@1": MetricName("R@1 of two views"),
}
"""Of embeddings of a user's own images, computed beside those that were asked for."""

METRICS: dict[str, MetricName] = {
    **EMBEDDING_METRICS,
    **CLASSIFICATION_METRICS,
    **OWN_METRICS,
    "loss": MetricName("loss", is_share=False, lower_is_better=True),
    TOTAL_SECONDS: MetricName("seconds", is_share=False, lower_is_better=True),
}


def with_functions(names: Mapping[str, MetricName], functions: Mapping[str, Function]) -> dict[str, Function]:
    """``functions`` in the order of ``names``.

    Raises:
        ValueError: a name without a function, or a function without a name.
    """
    if names.keys() != functions.keys():
        without = {
            "metrics without a function": names.keys() - functions.keys(),
            "functions without an entry in dml.metric_names": functions.keys() - names.keys(),
        }
        raise ValueError("; ".join(f"{what}: {', '.join(sorted(which))}" for what, which in without.items() if which))
    return {name: functions[name] for name in names}


def metric_key(name: str) -> str:
    """A metric's key in the record: e_recall@1 → e_recall_at_1, rho_spectrum@-1 → rho_spectrum_at_m1.

    A key stays as it is.
    """
    return re.sub("@(-?)", lambda found: "_at_m" if found[1] else "_at_", name)


def _stem(name: str) -> str:
    """What stands before the number in the keys of a family: e_recall@k → e_recall."""
    return name.partition("@")[0]


DISTINCT_RECALL, VIEW_RECALL = metric_key("distinct_recall@1"), metric_key("view_recall@1")
RECALL_AT_1, PRECISION_AT_1 = "recall_at_1", "precision_at_1"
LEADING = (RECALL_AT_1, "map_at_r", DISTINCT_RECALL)
"""What tables of a user's own images begin with: R@1 is near 100 where photographs come in series, and says little."""

_SINGLE = {metric_key(name): metric for name, metric in METRICS.items() if not metric.is_family}
_FAMILIES = {_stem(name): metric for name, metric in METRICS.items() if metric.is_family}


def _find(key: str) -> tuple[MetricName | None, str]:
    """The metric of a key, None if it is none's, and its number as a text, empty without one."""
    if key in _SINGLE:
        return _SINGLE[key], ""
    parts = re.fullmatch(r"(\w+)_at_(m?)(\d+)", key)
    if parts and parts[1] in _FAMILIES:
        return _FAMILIES[parts[1]], ("-" if parts[2] else "") + parts[3]
    return None, ""


def is_metric(key: str) -> bool:
    """Whether a key of the record, without its split, is that of a metric."""
    return _find(key)[0] is not None


def metric_of(key: str) -> MetricName:
    """What is said of the metric of a key; of a key that is none's, that it is a share called like it."""
    return _find(key)[0] or MetricName(key)


def label(key: str) -> str:
    """How the metric of a key is called in tables: recall_at_1 → R@1, rho_spectrum_at_m1 → rho_spectrum@-1."""
    return metric_of(key).label + _find(key)[1]


def family_label(key: str) -> str:
    """The same with k in the place of a number: recall_at_1 → R@k."""
    metric = metric_of(key)
    return metric.label + "k" * metric.is_family


def is_share(key: str) -> bool:
    """Whether the metric lies in 0..1 and is printed in per cent; distances, spectra and losses are not."""
    return metric_of(key).is_share


def is_better(key: str, value: float, than: float | None) -> bool:
    """Whether ``value`` of the metric of ``key`` beats ``than``. Equal ones do not; any number beats NaN and None."""
    if than is None or math.isnan(than):
        return not math.isnan(value)
    return value < than if metric_of(key).lower_is_better else value > than


def best_of(key: str, values: Iterable[tuple[Choice, float]]) -> Choice | None:
    """The first choice whose value of the metric of ``key`` no other beats; None without any."""
    best, best_value = None, None
    for choice, value in values:
        if is_better(key, value, best_value):
            best, best_value = choice, value
    return best


def without_twins(names: Iterable[str], rows: Collection[Mapping[str, object]]) -> list[str]:
    """``names`` without P@1 where R@1 is among them and no row has another number there: precision and recall at 1 are
    one unless queries are counted differently.

    Args:
        rows: metrics by key.
    """
    names = list(names)
    if RECALL_AT_1 in names and all(
        row[PRECISION_AT_1] == row[RECALL_AT_1] for row in rows if PRECISION_AT_1 in row and RECALL_AT_1 in row
    ):
        return [name for name in names if name != PRECISION_AT_1]
    return names


def percent(fraction: float) -> str:
    """0.7312 → '73.12'."""
    return f"{100 * fraction:.2f}"


def value_text(key: str, value: float | list[float]) -> str:
    """A metric's value in a table: a share in per cent, another number with four digits, of a list its length."""
    if isinstance(value, list):
        return f"{len(value)} values"
    return percent(value) if is_share(key) else f"{value:.4f}"
