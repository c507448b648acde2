"""What metrics are computed by: each computation gives all metrics of its kind that are asked for at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dml.evaluation.average_precision import mean_average_precision
from dml.evaluation.clustering import kmeans, nmi, pair_f1
from dml.evaluation.retrieval import retrieval_metrics
from dml.evaluation.spread import class_distances, spectra
from dml.metric_names import metric_key
from dml.positives import ImageIds

Values = dict[str, float | list[float]]

CLUSTERING_METRICS = {"nmi": nmi, "f1": pair_f1}


@dataclass(frozen=True)
class Metric:
    """A metric, or a family of metrics told apart by a number.

    Attributes:
        compute: gives it, and others of its kind, from what a group of metrics is computed from.
        base: its name in that computation.
        distance: ``cosine`` or ``euclidean`` where the name fixes it; None: the evaluation's own.
        number: the k or m behind the @, None where there is none.
        at_own_ks: whether it has a value for each k of the data set.
    """

    compute: Callable[[Mapping[str, Metric], Work], Values]
    base: str
    distance: str | None = None
    number: int | None = None
    at_own_ks: bool = False


@dataclass(frozen=True)
class Work:
    """What a group of metrics, all of one computation and distance, is computed from.

    Attributes:
        given: queries, their labels, gallery and its labels; None where the queries are their own gallery.
        recall_ks: the data set's own k.
        image_ids, ties_count_for_query: see ``retrieval_metrics``.
        distance: ``cosine`` or ``euclidean``.
        seed: of the clusters.
        together: whether all processes compute this, and divide the queries of searches among them.
    """

    given: tuple[Tensor | None, ...]
    recall_ks: tuple[int, ...]
    image_ids: ImageIds | None
    ties_count_for_query: bool
    distance: str
    seed: int
    together: bool = False

    @property
    def all_embeddings(self) -> tuple[Tensor, Tensor]:
        """Embeddings and labels of queries and gallery together, copies among them: no image is searched for here."""
        query, query_labels, gallery, gallery_labels = self.given
        if gallery is None:
            return query, query_labels
        return torch.cat([query, gallery]), torch.cat([query_labels, gallery_labels])


def retrieval(group: Mapping[str, Metric], work: Work) -> Values:
    """One search for the metrics of ``RETRIEVAL_METRICS`` and for all the k of ``e_recall@k`` and its like.

    Ties go by index but in ``recall`` of a data set that counts them for the query, for which there is another search
    then.
    """
    own = {name: metric for name, metric in group.items() if metric.number is None}
    numbered = {name: metric for name, metric in group.items() if metric.number is not None}
    if work.ties_count_for_query and own and numbered:
        return _search(own, work, ties_count_for_query=True) | _search(numbered, work)
    return _search(group, work, ties_count_for_query=work.ties_count_for_query and not numbered)


def _search(group: Mapping[str, Metric], work: Work, *, ties_count_for_query: bool = False) -> Values:
    own_ks = work.recall_ks if any(metric.at_own_ks for metric in group.values()) else ()
    found = retrieval_metrics(
        *work.given,
        recall_ks=sorted({*own_ks, *(metric.number for metric in group.values() if metric.number)}),
        metrics=list(dict.fromkeys(metric.base for metric in group.values())),
        image_ids=work.image_ids,
        distance=work.distance,
        ties_count_for_query=ties_count_for_query,
        together=work.together,
    )
    values: Values = {}
    for name, metric in group.items():
        if metric.at_own_ks:
            values |= {f"{name}_at_{k}": found[f"{metric.base}_at_{k}"] for k in own_ks}
        else:
            values[metric_key(name)] = found[f"{metric.base}_at_{metric.number}" if metric.number else metric.base]
    return values


def average_precision(group: Mapping[str, Metric], work: Work) -> Values:
    """One search for all average precisions of whole rankings."""
    names = [metric.base for metric in group.values()]
    how = {"image_ids": work.image_ids, "distance": work.distance, "together": work.together}
    found = mean_average_precision(*work.given, names=names, **how)
    return {metric_key(name): found[metric.base] for name, metric in group.items()}


def clustering(group: Mapping[str, Metric], work: Work) -> Values:
    """k-means clusters of all embeddings, as many as there are classes, against the labels."""
    embeddings, labels = work.all_embeddings
    if work.distance == "cosine":
        embeddings = normalize(embeddings.float())
    clusters = kmeans(embeddings, len(labels.unique()), seed=work.seed)
    return {metric_key(name): CLUSTERING_METRICS[metric.base](labels, clusters) for name, metric in group.items()}


def spread(group: Mapping[str, Metric], work: Work) -> Values:
    """Distances within and between the classes of all embeddings."""
    found = class_distances(*work.all_embeddings)
    return {metric_key(name): found[metric.base] for name, metric in group.items()}


def spectrum(group: Mapping[str, Metric], work: Work) -> Values:
    """Spectra of all embeddings."""
    found = spectra(work.all_embeddings[0], [metric.number for metric in group.values()])
    return {metric_key(name): found[metric.number] for name, metric in group.items()}
