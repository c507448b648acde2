"""Retrieval metrics: recall@k, MAP@R, R-precision and precision@1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dml.evaluation.ranking import (
    Positives,
    QueryResults,
    Ranking,
    left_out,
    rank_queries,
)
from dml.metric_names import ANSWERED, EMBEDDING_METRICS
from dml.neighbours import SimilarityScores
from dml.positives import ImageIds, ids_or_own
from dml.registry import Registry


@dataclass(frozen=True)
class RetrievalMetric:
    """How a retrieval metric comes from what is known of every query.

    Attributes:
        of_query: (results, k) → (Q,) float64, each query's share of the metric; its mean is over all queries or over
            those with a positive, as ``dml.metric_names`` says. k is None but for a metric with one value for each.
        num_neighbours: how long a list of neighbours it needs; None: as many as a query has positives.
        takes_k: whether it has one value for each k of ``recall_ks``.
    """

    of_query: Callable[[QueryResults, int | None], Tensor]
    num_neighbours: int | None
    takes_k: bool = False


RETRIEVAL_METRICS: Registry[RetrievalMetric] = Registry(
    "retrieval metric",
    {
        "recall": RetrievalMetric(lambda found, k: (found.in_front < k).double(), num_neighbours=0, takes_k=True),
        "map_at_r": RetrievalMetric(lambda found, _: found.average_precision, num_neighbours=None),
        "r_precision": RetrievalMetric(lambda found, _: found.r_precision, num_neighbours=None),
        "precision_at_1": RetrievalMetric(lambda found, _: found.first_hit, num_neighbours=1),
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
    image_ids: ImageIds | None = None,
    distance: str = "cosine",
) -> QueryErrors:
    """What ``retrieval_metrics`` takes the means of, query by query; arguments, costs and errors are as there."""
    given = (query, query_labels, gallery, gallery_labels)
    ranking = make_ranking(*given, image_ids=image_ids, recall_ks=(), num_neighbours=None, distance=distance)
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
    metrics: Sequence[str] = tuple(RETRIEVAL_METRICS),
    image_ids: ImageIds | None = None,
    distance: str = "cosine",
    ties_count_for_query: bool = False,
    chunk_size: int | None = None,
    together: bool = False,
) -> dict[str, float]:
    """Retrieval metrics as fractions 0..1 (METHODS §20).

    R is the number of a query's positives: gallery items of its class, without those that it leaves out.

    * ``recall_at_<k>``: share of queries with a positive among the k nearest. A k beyond the gallery counts the
      whole gallery.
    * ``map_at_r``: mean over queries of (1/R) Σ_{j≤R} hit_j · (hits up to j)/j (Musgrave et al., A Metric
      Learning Reality Check, 2020).
    * ``r_precision``: mean over queries of the share of hits among the R nearest.
    * ``precision_at_1``: share of queries whose nearest is a positive.

    Equal similarities are ordered by lower index, so that a network that maps all images to one point is as good as
    chance. A query without positives (a singleton, or a class that the gallery lacks) fails recall and precision@1
    and is left out of the means of MAP@R and R-precision, as IDML does; these are 0 if no query has one.

    Time grows as Q·N·D; memory stays bounded whatever Q, N and R are, and however many copies there are.

    Args:
        query: (Q, D) floating point; the work is done on its device.
        query_labels: (Q,) integer.
        gallery: (N, D) floating point; None searches the queries themselves.
        gallery_labels: (N,) integer; given exactly if ``gallery`` is.
        recall_ks: the k of recall@k, each at least 1.
        metrics: which metrics; names of ``RETRIEVAL_METRICS``.
        image_ids: numbers (Q,) of the query images and (N,) of the gallery's; a query leaves out the gallery items of
            its own number. None: queries that are their own gallery leave out themselves, by index, others nothing.
        distance: ``cosine`` (rows normalised) or ``euclidean`` (raw embeddings).
        ties_count_for_query: recall counts only negatives that are strictly nearer than the nearest positive, which is
            the published rule of In-Shop.
        chunk_size, together: see ``dml.evaluation.ranking.rank_queries``.

    Raises:
        ValueError: shapes that do not fit, embeddings that are not finite, an unknown metric or distance.
    """
    chosen = {RETRIEVAL_METRICS.canonical(name): RETRIEVAL_METRICS[name] for name in metrics}
    takes_k = any(metric.takes_k for metric in chosen.values())
    if takes_k and (not recall_ks or min(recall_ks) < 1):
        raise ValueError(f"recall_ks must be one or more positive integers; got {list(recall_ks)}")
    lengths = [metric.num_neighbours for metric in chosen.values()]
    ranking = make_ranking(
        query,
        query_labels,
        gallery,
        gallery_labels,
        image_ids=image_ids,
        recall_ks=recall_ks if takes_k else (),
        num_neighbours=None if None in lengths else max(lengths, default=0),
        distance=distance,
        ties_count_for_query=ties_count_for_query,
    )
    results, has_positive = rank_queries(ranking, chunk_size, together=together), ranking.positives.num > 0
    values = {}
    for name, metric in chosen.items():
        counted = has_positive if EMBEDDING_METRICS[name].over == ANSWERED else slice(None)
        for k in recall_ks if metric.takes_k else (None,):
            values[name if k is None else f"{name}_at_{k}"] = _mean(metric.of_query(results, k)[counted])
    return values


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0


def make_ranking(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None,
    gallery_labels: Tensor | None,
    *,
    image_ids: ImageIds | None,
    recall_ks: Sequence[int],
    num_neighbours: int | None,
    distance: str,
    ties_count_for_query: bool = False,
) -> Ranking:
    """What ``rank_queries`` is to do. ValueError for shapes that do not fit."""
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("gallery and gallery_labels must be given together")
    _check_labels("query", query, query_labels)
    own_gallery = gallery is None
    if own_gallery:
        gallery, gallery_labels = query, query_labels
    else:
        _check_labels("gallery", gallery, gallery_labels)
    ids = ids_or_own(image_ids, len(query), own_gallery=own_gallery)
    if ids is not None:
        ids = tuple(part.to(query.device) for part in ids)
        for name, embeddings, part in zip(("query", "gallery"), (query, gallery), ids, strict=True):
            _check_labels(name, embeddings, part, "image_ids")
    labels = (query_labels.to(query.device), gallery_labels.to(query.device))
    return Ranking(
        scores=SimilarityScores(query, gallery, distance=distance, exclude=left_out(ids)),
        positives=Positives.build(*labels, ids),
        recall_ks=torch.tensor(sorted(recall_ks), device=query.device),
        num_neighbours=num_neighbours,
        ties_count_for_query=ties_count_for_query,
    )


def _check_labels(name: str, embeddings: Tensor, labels: Tensor, what: str = "labels") -> None:
    if labels.ndim != 1 or len(labels) != len(embeddings) or labels.is_floating_point():
        raise ValueError(
            f"{name} {what} must be ({len(embeddings)},) integers, one for each embedding; "
            f"got {tuple(labels.shape)} {labels.dtype}"
        )
