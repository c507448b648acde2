"""Over how many queries each figure is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from dml.evaluation.ranking import left_out
from dml.metric_names import ANSWERED, COUNTS, DISTINCT_RECALL, family_label, metric_of
from dml.positives import ImageIds, ids_or_own, num_positives


@dataclass(frozen=True)
class Answers:
    """How many queries a gallery can answer.

    Attributes:
        queries: how many there are.
        answered: how many of them have an image of their class in the gallery that they do not leave out.
        copied: how many of them leave out more than themselves.
        distinct: how many have an answer of another series (``dml.evaluation.series``); None: it was not looked.
    """

    queries: int
    answered: int
    copied: int = 0
    distinct: int | None = None

    @classmethod
    def count(
        cls,
        query_labels: Tensor,
        gallery_labels: Tensor | None = None,
        image_ids: ImageIds | None = None,
        series: ImageIds | None = None,
    ) -> Answers:
        """From integer labels (Q,) and (N,), None where the queries are their own gallery; ``image_ids`` as in
        :func:`dml.evaluation.retrieval.retrieval_metrics`, ``series`` of ``dml.evaluation.series``."""
        own_gallery = gallery_labels is None
        ids = ids_or_own(image_ids, len(query_labels), own_gallery=own_gallery)
        labels = query_labels, query_labels if own_gallery else gallery_labels
        num = num_positives(*labels, ids)
        unseen = left_out(ids)
        copied = 0 if unseen is None else int((unseen.size > int(own_gallery)).sum())
        distinct = None if series is None else int((num_positives(*labels, series) > 0).sum())
        return cls(len(query_labels), int((num > 0).sum()), copied, distinct)

    @property
    def counts(self) -> dict[str, int]:
        """For the record: both numbers where they differ, nothing where every query has an answer."""
        return {} if self.queries == self.answered else dict(zip(COUNTS, (self.queries, self.answered), strict=True))

    @property
    def of_copies(self) -> str:
        """What is said of queries that leave out more than themselves; empty if there are none."""
        if not self.copied:
            return ""
        queries = "1 query" if self.copied == 1 else f"{self.copied:,} queries"
        return f"of {queries} the gallery holds the same image; it is left out as no answer (--keep-copies 1 keeps it)"

    @property
    def of_series(self) -> str:
        """What is said of answers that look nearly like their queries; empty where it was not looked for such."""
        if self.distinct is None:
            return ""
        if not self.distinct:
            return "no query has an answer that does not look nearly like it: figures say how alike copies are"
        which = f"{metric_of(DISTINCT_RECALL).label} leaves out answers that look nearly like the query, as in a series"
        return f"{which}: over {self.distinct:,} of {self.queries:,} queries"

    def sentence(self, keys: Iterable[str]) -> str:
        """Over how many queries the metrics of ``keys`` are; empty if none of them is a mean over queries."""
        over = {family_label(key): metric_of(key).over for key in keys}
        missing = self.queries - self.answered
        fewer = [name for name, which in over.items() if which == ANSWERED and missing]
        every = [name for name, which in over.items() if which and name not in fewer]
        parts = [f"{', '.join(every)} over {self.queries} queries"] if every else []
        parts += [f"{', '.join(fewer)} over {self.answered}{'' if every else ' queries'}"] if fewer else []
        if parts and missing:
            parts[-1] += f": {missing} {'has' if missing == 1 else 'have'} no answer in the gallery"
        return "; ".join(parts)
