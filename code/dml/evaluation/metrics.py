"""Every metric of embeddings by its name: what computes it, and under which keys it is recorded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from dml.evaluation.average_precision import CUTOFFS
from dml.evaluation.computations import (
    CLUSTERING_METRICS,
    Metric,
    average_precision,
    clustering,
    retrieval,
    spectrum,
    spread,
)
from dml.evaluation.retrieval import RETRIEVAL_METRICS
from dml.metric_names import EMBEDDING_METRICS, metric_key, with_functions
from dml.registry import Registry, UnknownNameError


def _functions() -> dict[str, Metric]:
    """What computes each metric of ``EMBEDDING_METRICS``. ValueError if one lacks its function, or its entry there."""
    functions = {name: Metric(retrieval, name, at_own_ks=m.takes_k) for name, m in RETRIEVAL_METRICS.items()}
    for prefix, distance in (("", "euclidean"), ("c_", "cosine")):
        functions |= {prefix + name: Metric(average_precision, name, distance) for name in CUTOFFS}
    for prefix, distance in (("", None), ("c_", "cosine")):
        functions |= {prefix + name: Metric(clustering, name, distance) for name in CLUSTERING_METRICS}
    functions |= {
        "e_recall@k": Metric(retrieval, "recall", "euclidean"),
        "c_recall@k": Metric(retrieval, "recall", "cosine"),
        "dists@intra": Metric(spread, "intra"),
        "dists@inter": Metric(spread, "inter"),
        "dists@intra_over_inter": Metric(spread, "intra_over_inter"),
        "rho_spectrum@m": Metric(spectrum, "rho_spectrum"),
    }
    return with_functions(EMBEDDING_METRICS, functions)


class MetricRegistry(Registry[Metric]):
    """Metrics by name; ``e_recall@k`` stands for every positive k, ``rho_spectrum@m`` for every integer m."""

    def canonical(self, name: str) -> str:
        """The metric's own name, with its number. UnknownNameError lists the valid ones."""
        if self._numbered(name):
            return name
        name = super().canonical(name)
        if name.endswith(("@k", "@m")):
            raise UnknownNameError(f"metric {name} lacks its number: write {name[:-1]}1, for instance")
        return name

    def __getitem__(self, name: str) -> Metric:
        found = self._numbered(name)
        return found if found else self._entries[super().canonical(name)]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and self._numbered(name) is not None)

    def _numbered(self, name: str) -> Metric | None:
        parts = re.fullmatch(r"(\w+)@(-?\d+)", name)
        if parts is None:
            return None
        number = int(parts[2])
        family = self._entries.get(f"{parts[1]}@k") if number > 0 else None
        family = family or self._entries.get(f"{parts[1]}@m")
        return family and replace(family, number=number)


METRICS = MetricRegistry("metric", _functions())
DEFAULT_METRICS = tuple(RETRIEVAL_METRICS)
SPECTRUM_KEY = "rho_spectrum_at_0"
"""The one metric whose value is a list of numbers."""


def metric_keys(names: Sequence[str], recall_ks: Sequence[int]) -> list[str]:
    """The keys under which an evaluation records the metrics ``names``, recall once for every k of ``recall_ks``.

    Raises:
        UnknownNameError: a metric that does not exist, or a family without its number.
    """
    keys = []
    for name in names:
        METRICS.canonical(name)
        keys += [f"{name}_at_{k}" for k in recall_ks] if METRICS[name].at_own_ks else [metric_key(name)]
    return list(dict.fromkeys(keys))
