"""Retrieval metrics: recall@k, MAP@R, R-precision and precision@1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dml.evaluation.ranking import Positives, QueryResults, Ranking, rank_queries
from dml.neighbours import SimilarityScores
from dml.registry import Registry

RETRIEVAL_METRICS: Registry[str] = Registry(
    "retrieval metric",
    {
        "recall": "share of queries with a hit among their k nearest",
        "map_at_r": "mean average precision at R",
        "r_precision": "share of hits among the R nearest",
        "precision_at_1": "share of queries whose nearest is a hit",
    },
)


class QueryErrors(NamedTuple):
    """How wrong the answer to each of Q queries is.

    Attributes:
        lost_precision: (Q,) float64, 1 − AP@R, 0..1.
        nearest_is_wrong: (Q,) bool.
        has_positive: (Q,) bool; what has none in the gallery cannot be answered.
    """

    lost_precision: Tensor
    nearest_is_wrong: Tensor
    has_positive: Tensor


@torch.no_grad()
def query_errors(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    distance: str = "cosine",
) -> QueryErrors:
    """What ``retrieval_metrics`` takes the means of, query by query; arguments, costs and errors are as there."""
    ranking = make_ranking(
        query, query_labels, gallery, gallery_labels, recall_ks=(), num_neighbours=None, distance=distance
    )
    results = rank_queries(ranking, None)
    return QueryErrors(1 - results.average_precision, results.first_hit == 0, ranking.positives.num > 0)


@torch.no_grad()
def retrieval_metrics(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    recall_ks: Sequence[int],
    metrics: Sequence[str] = ("recall", "map_at_r", "r_precision", "precision_at_1"),
    distance: str = "cosine",
    chunk_size: int | None = None,
) -> dict[str, float]:
    """Retrieval metrics as fractions 0..1 (METHODS §20).

    R is the number of a query's positives: gallery items of its class, the query itself left out.

    * ``recall_at_<k>``: share of queries with a positive among the k nearest. Without a gallery equal
      similarities are ordered by lower index; with one, only negatives strictly nearer than the nearest
      positive count against the query (In-Shop's rule). A k beyond the gallery counts the whole gallery.
    * ``map_at_r``: mean over queries of (1/R) Σ_{j≤R} hit_j · (hits up to j)/j (Musgrave et al., A Metric
      Learning Reality Check, 2020).
    * ``r_precision``: mean over queries of the share of hits among the R nearest.
    * ``precision_at_1``: share of queries whose nearest is a positive.

    A query without positives (a singleton, or a class that the gallery lacks) fails recall and precision@1
    and is left out of the means of MAP@R and R-precision, as IDML does; these are 0 if no query has one.

    Time grows as Q·N·D; memory stays bounded whatever Q, N and R are.

    Args:
        query: (Q, D) floating point; the work is done on its device.
        query_labels: (Q,) integer.
        gallery: (N, D) floating point; None searches the queries themselves, each left out by its index.
        gallery_labels: (N,) integer; given exactly if ``gallery`` is.
        recall_ks: the k of recall@k, each at least 1.
        metrics: which metrics; names of ``RETRIEVAL_METRICS``.
        distance: ``cosine`` (rows normalised) or ``euclidean`` (raw embeddings).
        chunk_size: queries per block; None chooses it from the size of the gallery.

    Raises:
        ValueError: shapes that do not fit, embeddings that are not finite, an unknown metric or distance.
    """
    metrics = [RETRIEVAL_METRICS.canonical(name) for name in metrics]
    if "recall" in metrics and (not recall_ks or min(recall_ks) < 1):
        raise ValueError(f"recall_ks must be one or more positive integers; got {list(recall_ks)}")
    ranking = make_ranking(
        query,
        query_labels,
        gallery,
        gallery_labels,
        recall_ks=recall_ks if "recall" in metrics else (),
        num_neighbours=_num_neighbours(metrics),
        distance=distance,
    )
    return _summarise(rank_queries(ranking, chunk_size), metrics, recall_ks, ranking.positives.num)


def make_ranking(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None,
    gallery_labels: Tensor | None,
    *,
    recall_ks: Sequence[int],
    num_neighbours: int | None,
    distance: str,
) -> Ranking:
    """What ``rank_queries`` is to do. ValueError for shapes that do not fit."""
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("gallery and gallery_labels must be given together")
    _check_labels("query", query, query_labels)
    leave_out_self = gallery is None
    if leave_out_self:
        gallery, gallery_labels = query, query_labels
    else:
        _check_labels("gallery", gallery, gallery_labels)
    exclude = torch.arange(len(query), device=query.device) if leave_out_self else None
    return Ranking(
        scores=SimilarityScores(query, gallery, distance=distance, exclude=exclude),
        positives=Positives.build(query_labels, gallery_labels, query.device, leave_out_self=leave_out_self),
        recall_ks=torch.tensor(sorted(recall_ks), device=query.device),
        num_neighbours=num_neighbours,
        strict=not leave_out_self,
    )


def _num_neighbours(metrics: Sequence[str]) -> int | None:
    if "map_at_r" in metrics or "r_precision" in metrics:
        return None
    return int("precision_at_1" in metrics)


def _summarise(
    results: QueryResults, metrics: Sequence[str], recall_ks: Sequence[int], num_positives: Tensor
) -> dict[str, float]:
    has_positive = num_positives > 0
    divisor = max(1, int(has_positive.sum()))
    values = {}
    for name in metrics:
        if name == "recall":
            values |= {f"recall_at_{k}": float((results.rank < k).double().mean()) for k in recall_ks}
        elif name == "map_at_r":
            values[name] = float(results.average_precision[has_positive].sum() / divisor)
        elif name == "r_precision":
            values[name] = float(results.r_precision[has_positive].sum() / divisor)
        else:
            values[name] = float(results.first_hit.mean())
    return values


def _check_labels(name: str, embeddings: Tensor, labels: Tensor) -> None:
    if labels.ndim != 1 or len(labels) != len(embeddings) or labels.is_floating_point():
        raise ValueError(
            f"{name} labels must be ({len(embeddings)},) integers, one for each embedding; "
            f"got {tuple(labels.shape)} {labels.dtype}"
        )
