"""The evaluator: a network or its embeddings in, every requested metric out, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from dml.evaluation.average_precision import mean_average_precision
from dml.evaluation.clustering import kmeans, nmi, pair_f1
from dml.evaluation.metrics import DEFAULT_METRICS, METRICS, Metric, metric_keys
from dml.evaluation.retrieval import retrieval_metrics
from dml.evaluation.spread import class_distances, spectra
from dml.metric_names import metric_key
from dml.structures import Batch

Values = dict[str, float | list[float]]

CLUSTERING_METRICS = {"nmi": nmi, "f1": pair_f1}


class Embed(Protocol):
    """``dml.models.extract.embed``: a network's embeddings of all images of a loader."""

    def __call__(
        self, model: nn.Module, batches: Iterable[Batch], device: torch.device, *, progress: str | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (N, D) float32, labels (N,) and dataset indices (N,), all on the CPU."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics and what they were computed from, row i being image i of its dataset.

    Attributes:
        metrics: key → value: a fraction 0..1, but for dists and rho_spectrum; rho_spectrum_at_0 is a list.
        query_embeddings: (Q, D) float32 on the CPU.
        query_labels: (Q,) int64.
        gallery_embeddings: (N, D); None where the queries are their own gallery.
        gallery_labels: (N,) or None.
    """

    metrics: Values
    query_embeddings: Tensor
    query_labels: Tensor
    gallery_embeddings: Tensor | None = None
    gallery_labels: Tensor | None = None


class Evaluator:
    """Judges a network on the images of one or two loaders.

    Args:
        query: batches of the query images; iterated once for each evaluation.
        gallery: batches of the gallery images; None searches the queries themselves, each left out.
        embed: turns a network and batches into embeddings.
        recall_ks: the k of recall@k.
        metrics: names of ``METRICS``.
        distance: ``cosine`` or ``euclidean``, for the metrics whose name does not say it.
        seed: of k-means, for NMI and F1.

    Raises:
        UnknownNameError: a metric that does not exist; the message lists those that do.
    """

    def __init__(
        self,
        query: Iterable[Batch],
        gallery: Iterable[Batch] | None = None,
        *,
        embed: Embed,
        recall_ks: Sequence[int],
        metrics: Sequence[str] = DEFAULT_METRICS,
        distance: str = "cosine",
        seed: int = 0,
    ):
        self.query, self.gallery, self.embed = query, gallery, embed
        self.recall_ks, self.distance, self.seed = tuple(recall_ks), distance, seed
        self.metrics = tuple(METRICS.canonical(name) for name in metrics)

    def evaluate(self, model: nn.Module, device: torch.device, *, progress: str | None = None) -> Evaluation:
        """Embed all images on ``device`` and compute the metrics there.

        Args:
            progress: what the progress bar calls the work; None shows none.
        """
        query = self._embed(self.query, model, device, progress)
        gallery = (None, None)
        if self.gallery is not None:
            gallery = self._embed(self.gallery, model, device, f"{progress} gallery" if progress else None)
        metrics = evaluate_embeddings(
            *query,
            *gallery,
            recall_ks=self.recall_ks,
            metrics=self.metrics,
            distance=self.distance,
            seed=self.seed,
            device=device,
        )
        return Evaluation(metrics, *query, *gallery)

    def _embed(
        self, batches: Iterable[Batch], model: nn.Module, device: torch.device, progress: str | None
    ) -> tuple[Tensor, Tensor]:
        embeddings, labels, indices = self.embed(model, batches, device, progress=progress)
        order = indices.argsort()
        return embeddings[order], labels[order]


def evaluate_embeddings(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    recall_ks: Sequence[int],
    metrics: Sequence[str] = DEFAULT_METRICS,
    distance: str = "cosine",
    seed: int = 0,
    device: torch.device | str | None = None,
) -> Values:
    """All of ``metrics`` from embeddings, under the keys of :func:`dml.evaluation.metrics.metric_keys`.

    What is ranked by the same distance is ranked together: one search for all recalls and metrics at R
    (:func:`dml.evaluation.retrieval.retrieval_metrics`), one for all average precisions of whole rankings
    (:func:`dml.evaluation.average_precision.mean_average_precision`). NMI and F1 compare the labels with as many
    k-means clusters as there are classes. Clusters, dists and rho_spectrum are of all embeddings, query and gallery
    together; clusters by cosine of normalised ones.

    Args:
        device: where to compute; None stays where ``query`` is.

    Raises:
        ValueError: an unknown metric or distance, shapes that do not fit, embeddings that are not finite.
    """
    keys = metric_keys(metrics, recall_ks)
    given = tuple(t if t is None else t.to(device) for t in (query, query_labels, gallery, gallery_labels))
    work = _Work(given, tuple(recall_ks), distance, seed)
    groups: dict[tuple[str, str], dict[str, Metric]] = {}
    for name in metrics:
        metric = METRICS[name]
        groups.setdefault((metric.kind, metric.distance or distance), {})[name] = metric
    values: Values = {}
    for (kind, by), group in groups.items():
        values |= _COMPUTE[kind](group, replace(work, distance=by))
    return {key: values[key] for key in keys}


@dataclass(frozen=True)
class _Work:
    """What a group of metrics is computed from: queries, their labels, gallery and its labels; and how."""

    given: tuple[Tensor | None, ...]
    recall_ks: tuple[int, ...]
    distance: str
    seed: int

    @property
    def all_embeddings(self) -> tuple[Tensor, Tensor]:
        """Embeddings and labels of queries and gallery together."""
        query, query_labels, gallery, gallery_labels = self.given
        if gallery is None:
            return query, query_labels
        return torch.cat([query, gallery]), torch.cat([query_labels, gallery_labels])


def _retrieval(group: Mapping[str, Metric], work: _Work) -> Values:
    """One search for all the k of ``recall`` and of ``e_recall@k`` and its like, and for what counts to R."""
    own_ks = work.recall_ks if "recall" in group else ()
    ks = sorted({*own_ks, *(metric.number for metric in group.values() if metric.number)})
    bases = list(dict.fromkeys(metric.base for metric in group.values()))
    found = retrieval_metrics(*work.given, recall_ks=ks, metrics=bases, distance=work.distance)
    values = {f"recall_at_{k}": found[f"recall_at_{k}"] for k in own_ks}
    for name, metric in group.items():
        if name != "recall":
            values[metric_key(name)] = found[f"recall_at_{metric.number}" if metric.number else metric.base]
    return values


def _average_precision(group: Mapping[str, Metric], work: _Work) -> Values:
    names = [metric.base for metric in group.values()]
    found = mean_average_precision(*work.given, names=names, distance=work.distance)
    return {metric_key(name): found[metric.base] for name, metric in group.items()}


def _clustering(group: Mapping[str, Metric], work: _Work) -> Values:
    embeddings, labels = work.all_embeddings
    if work.distance == "cosine":
        embeddings = normalize(embeddings.float())
    clusters = kmeans(embeddings, len(labels.unique()), seed=work.seed)
    return {metric_key(name): CLUSTERING_METRICS[metric.base](labels, clusters) for name, metric in group.items()}


def _spread(group: Mapping[str, Metric], work: _Work) -> Values:
    found = class_distances(*work.all_embeddings)
    return {metric_key(name): found[metric.base] for name, metric in group.items()}


def _spectrum(group: Mapping[str, Metric], work: _Work) -> Values:
    found = spectra(work.all_embeddings[0], [metric.number for metric in group.values()])
    return {metric_key(name): found[metric.number] for name, metric in group.items()}


_COMPUTE: dict[str, Callable[[Mapping[str, Metric], _Work], Values]] = {
    "retrieval": _retrieval,
    "average_precision": _average_precision,
    "clustering": _clustering,
    "spread": _spread,
    "spectrum": _spectrum,
}
