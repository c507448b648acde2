"""Near duplicates among what is searched: photographs of a series, which answer each other too easily to say much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dml.data.near_duplicates import near_pairs
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.retrieval import retrieval_metrics
from dml.metric_names import DISTINCT_RECALL, LEADING
from dml.positives import ImageIds

MOST_PAIRS = 3_000_000  # 48 MB; beyond, some near duplicates still count as answers


def series_in(
    prints: tuple[np.ndarray, ...], labels: tuple[np.ndarray, ...], image_numbers: tuple[np.ndarray, ...] | None
) -> ImageIds:
    """Numbers of the query images and of the gallery's, equal for images of a class that look alike, or that are joined
    by others that do, and for those that are the same image.

    Images of other classes that look alike stay apart: they are wrong answers, and the hardest ones.

    Args:
        prints: (Q,) fingerprints of the queries and, where there is one, (N,) of the gallery.
        labels: (Q,) and (N,) classes, in one numbering.
        image_numbers: (Q,) and (N,), equal for the same image (``dml.data.copies``); None: none are the same.
    """
    from scipy.sparse import coo_array  # here: command lines know of series, and scipy is slow to import
    from scipy.sparse.csgraph import connected_components

    of_image = np.concatenate(labels)
    pairs = near_pairs(np.concatenate(prints), most=MOST_PAIRS).pairs
    edges = [pairs[of_image[pairs[:, 0]] == of_image[pairs[:, 1]]]]
    if image_numbers is not None:
        _, first, inverse = np.unique(np.concatenate(image_numbers), return_index=True, return_inverse=True)
        edges.append(np.stack([first[inverse], np.arange(len(of_image))], 1))
    one, other = np.concatenate(edges).T
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(of_image),) * 2)
    _, numbers = connected_components(graph, directed=False)
    parts = torch.from_numpy(numbers.astype(np.int64)).split([len(part) for part in labels])
    return parts[0], parts[-1]


def with_distinct_recall(evaluation: Evaluation, series: ImageIds, *, distance: str) -> Evaluation:
    """``evaluation`` with R@1 among answers of other series, over the queries that have such, and what tells methods
    apart on photographs in front: R@1, MAP@R, then this one.

    Args:
        series: see ``series_in``.
        distance: what ranks neighbours, ``cosine`` or ``euclidean``.
    """
    evaluation = replace(evaluation, series=series)
    metrics, answered = dict(evaluation.metrics), evaluation.answers.distinct
    if answered:
        found = retrieval_metrics(
            evaluation.query_embeddings,
            evaluation.query_labels,
            evaluation.gallery_embeddings,
            evaluation.gallery_labels,
            recall_ks=(),
            metrics=("precision_at_1",),
            image_ids=series,
            distance=distance,
        )
        metrics[DISTINCT_RECALL] = found["precision_at_1"] * len(evaluation.query_labels) / answered  # others fail
    return replace(evaluation, metrics=leading_first(metrics))


def leading_first(metrics: dict[str, float]) -> dict[str, float]:
    """The same with R@1, MAP@R and R@1 of other series in front."""
    return {name: metrics[name] for name in LEADING if name in metrics} | metrics
