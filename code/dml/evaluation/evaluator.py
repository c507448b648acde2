"""The evaluator: a network or its embeddings in, every requested metric out, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from dml.devices import exact_device
from dml.errors import UserError
from dml.evaluation.answers import Answers
from dml.evaluation.computations import Metric, Values, Work
from dml.evaluation.metrics import DEFAULT_METRICS, METRICS, metric_keys
from dml.evaluation.ranking import left_out
from dml.evaluation.spread import collapse
from dml.neighbours import ItemSets
from dml.positives import ImageIds, ids_or_own
from dml.structures import Batch


class Embed(Protocol):
    """``dml.models.extract.embed``: a network's embeddings of all images of a loader.

    Where it has an attribute ``together`` that is true, all processes call it, and get the same embeddings.
    """

    def __call__(
        self, model: nn.Module, batches: Iterable[Batch], device: torch.device, *, progress: str | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (N, D) float32, labels (N,) and dataset indices (N,), all on the CPU."""


class NonFiniteEmbeddingsError(UserError):
    """A network gives embeddings that are NaN or infinite."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics and what they were computed from, row i being image i of its dataset.

    Attributes:
        metrics: key → value: a fraction 0..1, but for dists and rho_spectrum; rho_spectrum_at_0 is a list.
        query_embeddings: (Q, D) float32 on the CPU.
        query_labels: (Q,) int64.
        gallery_embeddings: (N, D); None where the queries are their own gallery.
        gallery_labels: (N,) or None.
        image_ids: which images are the same and never answer each other; None: every image is another.
        collapse: what is to be said of embeddings that are all but equal; None of others.
        series: which images look alike (``dml.evaluation.series``); None: it was not looked.
    """

    metrics: Values
    query_embeddings: Tensor
    query_labels: Tensor
    gallery_embeddings: Tensor | None = None
    gallery_labels: Tensor | None = None
    image_ids: ImageIds | None = None
    collapse: str | None = None
    series: ImageIds | None = None

    @property
    def left_out(self) -> ItemSets | None:
        """What each query does not see of its gallery; None: it sees all."""
        own_gallery = self.gallery_embeddings is None
        return left_out(ids_or_own(self.image_ids, len(self.query_labels), own_gallery=own_gallery))

    @property
    def answers(self) -> Answers:
        """How many queries there are, and how many can be answered."""
        return Answers.count(self.query_labels, self.gallery_labels, self.image_ids, self.series)

    @property
    def remarks(self) -> list[str]:
        """What belongs below a table of the metrics: over how many queries they are, and whether they mean anything."""
        answers = self.answers
        said = (answers.sentence(self.metrics), answers.of_copies, answers.of_series, self.collapse)
        return [line for line in said if line]


class Evaluator:
    """Judges a network on the images of one or two loaders.

    Args:
        query: batches of the query images; iterated once for each evaluation.
        gallery: batches of the gallery images; None searches the queries themselves.
        embed: turns a network and batches into embeddings.
        recall_ks: the k of recall@k.
        metrics: names of ``METRICS``.
        image_ids: which images of the datasets, in their order, are the same and never answer each other; None: an
            image that is its own gallery's leaves out itself alone.
        distance: ``cosine`` or ``euclidean``, for the metrics whose name does not say it.
        ties_count_for_query: In-Shop's rule, for ``recall`` alone.
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
        image_ids: ImageIds | None = None,
        distance: str = "cosine",
        ties_count_for_query: bool = False,
        seed: int = 0,
    ):
        self.query, self.gallery, self.embed = query, gallery, embed
        self.recall_ks, self.distance, self.seed = tuple(recall_ks), distance, seed
        self.image_ids, self.ties_count_for_query = image_ids, ties_count_for_query
        self.metrics = tuple(METRICS.canonical(name) for name in metrics)

    def evaluate(self, model: nn.Module, device: torch.device, *, progress: str | None = None) -> Evaluation:
        """Embed all images on ``device`` and compute the metrics there, or on the CPU if it has no float64.

        Args:
            progress: what the progress bar calls the work; None shows none.

        Raises:
            NonFiniteEmbeddingsError: embeddings that are NaN or infinite.
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
            image_ids=self.image_ids,
            distance=self.distance,
            ties_count_for_query=self.ties_count_for_query,
            seed=self.seed,
            device=exact_device(device),
            together=getattr(self.embed, "together", False),
        )
        return Evaluation(metrics, *query, *gallery, self.image_ids, collapse(query[0], distance=self.distance))

    def _embed(
        self, batches: Iterable[Batch], model: nn.Module, device: torch.device, progress: str | None
    ) -> tuple[Tensor, Tensor]:
        embeddings, labels, indices = self.embed(model, batches, device, progress=progress)
        bad = int((~embeddings.isfinite().all(1)).sum())
        if bad:
            raise NonFiniteEmbeddingsError(
                f"the network gives NaN or infinite embeddings for {bad} of {len(embeddings)} images, so that nothing"
                " can be judged: its weights are no numbers any more, or too large for its precision. A lower --lr or"
                " --precision 32 often helps"
            )
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
    image_ids: ImageIds | None = None,
    distance: str = "cosine",
    ties_count_for_query: bool = False,
    seed: int = 0,
    device: torch.device | str | None = None,
    together: bool = False,
) -> Values:
    """All of ``metrics`` from embeddings, under the keys of :func:`dml.evaluation.metrics.metric_keys`.

    What is ranked by the same distance is ranked together: one search for all recalls and metrics at R
    (:func:`dml.evaluation.retrieval.retrieval_metrics`), one for all average precisions of whole rankings
    (:func:`dml.evaluation.average_precision.mean_average_precision`). NMI and F1 compare the labels with as many
    k-means clusters as there are classes. Clusters, dists and rho_spectrum are of all embeddings, query and gallery
    together; clusters by cosine of normalised ones. They are no rankings, so that copies of an image count in them
    like any other images.

    Args:
        image_ids: which images are the same and never answer each other, see ``retrieval_metrics``.
        ties_count_for_query: In-Shop's rule, for ``recall`` alone, see there.
        device: where to compute; None stays where ``query`` is.
        together: whether all processes call this with the same arguments: searches are divided among them, and the
            values are those of one process to the bit.

    Raises:
        UserError: an unknown metric or distance, shapes that do not fit, embeddings that are not finite.
    """
    keys = metric_keys(metrics, recall_ks)
    given = tuple(t if t is None else t.to(device) for t in (query, query_labels, gallery, gallery_labels))
    work = Work(given, tuple(recall_ks), image_ids, ties_count_for_query, distance, seed, together)
    groups: dict[tuple[Callable, str], dict[str, Metric]] = {}
    for name in metrics:
        metric = METRICS[name]
        groups.setdefault((metric.compute, metric.distance or distance), {})[name] = metric
    values: Values = {}
    for (compute, by), group in groups.items():
        values |= compute(group, replace(work, distance=by))
    return {key: values[key] for key in keys}
