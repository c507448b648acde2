"""Every metric by its name: what it is called, what it is computed from, under which keys it is recorded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dml.evaluation.average_precision import CUTOFFS
from dml.evaluation.retrieval import RETRIEVAL_METRICS
from dml.metric_names import metric_key
from dml.registry import Registry, UnknownNameError


@dataclass(frozen=True)
class Metric:
    """A metric, or a family of metrics told apart by a number.

    Attributes:
        kind: which computation gives it: retrieval, average_precision, clustering, spread or spectrum.
        base: its name in that computation.
        words: what it measures, in one line.
        distance: ``cosine`` or ``euclidean`` where the name fixes it; None: the evaluation's own.
        number: the k or m behind the @, None where there is none.
    """

    kind: str
    base: str
    words: str
    distance: str | None = None
    number: int | None = None


_CLUSTERING = {
    "nmi": "normalised mutual information of k-means clusters and labels",
    "f1": "F1 of pairs of samples that share cluster and label",
}


def _families() -> dict[str, Metric]:
    entries = {name: Metric("retrieval", name, words) for name, words in RETRIEVAL_METRICS.items()}
    entries |= {name: Metric("clustering", name, words) for name, words in _CLUSTERING.items()}
    entries |= {f"c_{name}": Metric("clustering", name, words, "cosine") for name, words in _CLUSTERING.items()}
    for recall, prefix, distance in (("e_recall@k", "", "euclidean"), ("c_recall@k", "c_", "cosine")):
        entries[recall] = Metric("retrieval", "recall", f"recall@k, {distance}", distance)
        for name, cutoff in CUTOFFS.items():
            words = f"mean average precision of {cutoff.words}, {distance}"
            entries[prefix + name] = Metric("average_precision", name, words, distance)
    return entries | {
        "dists@intra": Metric("spread", "intra", "mean cosine distance within a class"),
        "dists@inter": Metric("spread", "inter", "mean cosine distance between class means"),
        "dists@intra_over_inter": Metric("spread", "intra_over_inter", "ratio of the two"),
        "rho_spectrum@m": Metric("spectrum", "rho_spectrum", "how far the singular values are from uniform"),
    }


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
        return family and Metric(family.kind, family.base, family.words, family.distance, number)


METRICS = MetricRegistry("metric", _families())
DEFAULT_METRICS = tuple(RETRIEVAL_METRICS)
SPECTRUM_KEY = "rho_spectrum_at_0"
"""The one metric whose value is a list of numbers."""


def metric_keys(names: Sequence[str], recall_ks: Sequence[int]) -> list[str]:
    """The keys under which an evaluation records the metrics ``names``, recall once for every k.

    Raises:
        UnknownNameError: a metric that does not exist, or a family without its number.
    """
    keys = []
    for name in names:
        METRICS.canonical(name)
        keys += [f"recall_at_{k}" for k in recall_ks] if name == "recall" else [metric_key(name)]
    return list(dict.fromkeys(keys))
