"""How many right answers a query has; counted alike before a training and in every evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

ImageIds = tuple[Tensor, Tensor]
"""Numbers (Q,) of the query images and (N,) of the gallery's, integers, equal exactly for images that are the same;
where the queries are their own gallery, one tensor twice."""


def ids_or_own(image_ids: ImageIds | None, num_queries: int, *, own_gallery: bool) -> ImageIds | None:
    """``image_ids``; without, queries that are their own gallery are an image each, others leave out nothing: None."""
    if image_ids is None and own_gallery:
        return (torch.arange(num_queries),) * 2
    return image_ids


def num_positives(query_labels: Tensor, gallery_labels: Tensor, image_ids: ImageIds | None) -> Tensor:
    """(Q,) int64: of each query the gallery items of its class, without those that it leaves out.

    Args:
        query_labels, gallery_labels: (Q,) and (N,) integer.
        image_ids: a query leaves out what has its number; None: nothing. All on one device; time grows as that of
            sorting.
    """
    num = _num_equal(query_labels, gallery_labels)
    if image_ids is not None:
        num = num - _num_equal(*_joined((query_labels, gallery_labels), image_ids))
    return num


def _num_equal(query_groups: Tensor, gallery_groups: Tensor) -> Tensor:
    """(Q,) int64: of each query the gallery items of its group."""
    if not len(gallery_groups):
        return torch.zeros(len(query_groups), dtype=torch.int64, device=query_groups.device)
    groups, counts = gallery_groups.unique(return_counts=True)
    place = torch.searchsorted(groups, query_groups).clamp_(max=len(groups) - 1)
    return counts[place] * (groups[place] == query_groups)


def _joined(labels: tuple[Tensor, Tensor], image_ids: ImageIds) -> list[Tensor]:
    """Numbers (Q,) and (N,) that are equal exactly where both label and image are."""
    label, image = (torch.cat(pair).unique(return_inverse=True)[1] for pair in (labels, image_ids))
    return list((image * (label.max() + 1) + label).split([len(part) for part in labels]))
