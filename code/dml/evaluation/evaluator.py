"""The evaluator: a network or its embeddings in, every requested metric out, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from dml.evaluation.clustering import kmeans, nmi, pair_f1
from dml.evaluation.retrieval import RETRIEVAL_METRICS, retrieval_metrics
from dml.registry import Registry
from dml.structures import Batch

CLUSTERING_METRICS = {"nmi": nmi, "f1": pair_f1}
METRICS: Registry[str] = Registry(
    "metric",
    {
        **RETRIEVAL_METRICS,
        "nmi": "normalised mutual information of k-means clusters and labels",
        "f1": "F1 of pairs of samples that share cluster and label",
    },
)
DEFAULT_METRICS = tuple(RETRIEVAL_METRICS)


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
        metrics: name → fraction 0..1.
        query_embeddings: (Q, D) float32 on the CPU.
        query_labels: (Q,) int64.
        gallery_embeddings: (N, D); None where the queries are their own gallery.
        gallery_labels: (N,) or None.
    """

    metrics: dict[str, float]
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
        distance: ``cosine`` or ``euclidean``.
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
) -> dict[str, float]:
    """All of ``metrics`` from embeddings; see :func:`dml.evaluation.retrieval.retrieval_metrics`.

    NMI and F1 compare the labels with as many k-means clusters as there are classes, of all embeddings, query
    and gallery together; by cosine the embeddings are normalised first.

    Args:
        device: where to compute; None stays where ``query`` is.

    Raises:
        ValueError: an unknown metric or distance, shapes that do not fit, embeddings that are not finite.
    """
    metrics = [METRICS.canonical(name) for name in metrics]
    given = (query, query_labels, gallery, gallery_labels)
    query, query_labels, gallery, gallery_labels = (t if t is None else t.to(device) for t in given)
    values = {}
    retrieval = [name for name in metrics if name in RETRIEVAL_METRICS]
    if retrieval:
        options = {"recall_ks": recall_ks, "metrics": retrieval, "distance": distance}
        values = retrieval_metrics(query, query_labels, gallery, gallery_labels, **options)
    clustering = [name for name in metrics if name in CLUSTERING_METRICS]
    if clustering:
        embeddings = query if gallery is None else torch.cat([query, gallery])
        labels = query_labels if gallery is None else torch.cat([query_labels, gallery_labels])
        if distance == "cosine":
            embeddings = normalize(embeddings.float())
        clusters = kmeans(embeddings, len(labels.unique()), seed=seed)
        values |= {name: CLUSTERING_METRICS[name](labels, clusters) for name in clustering}
    return values
