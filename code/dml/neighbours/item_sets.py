"""A set of gallery items for each query: those of its class, or those that it shall not see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ItemSets:
    """For each of Q queries a set of gallery items, possibly empty. Queries may share a list, so that memory grows as
    the number of queries and items, however large the sets are.

    Attributes:
        order: (M,) int64 gallery indices, list after list.
        start: (Q,) int64, where the query's list begins in ``order``.
        size: (Q,) int64, its length.
    """

    order: Tensor
    start: Tensor
    size: Tensor

    @classmethod
    def one_each(cls, items: Tensor) -> ItemSets:
        """Of each query the one item that ``items`` (Q,) int64 names."""
        return cls(items, torch.arange(len(items), device=items.device), torch.ones_like(items))

    @classmethod
    def of_same_group(cls, query_groups: Tensor, gallery_groups: Tensor) -> ItemSets:
        """Of each query all items of its group, by lower index, from groups (Q,) and (N,), integers of one type."""
        if not len(gallery_groups):
            none = torch.zeros(len(query_groups), dtype=torch.int64, device=query_groups.device)
            return cls(none[:0], none, none)
        groups, members = gallery_groups.unique(return_inverse=True)
        counts = members.bincount(minlength=len(groups))
        place = torch.searchsorted(groups, query_groups).clamp_(max=len(groups) - 1)
        return cls(
            order=members.argsort(stable=True),
            start=(counts.cumsum(0) - counts)[place],
            size=counts[place] * (groups[place] == query_groups),
        )

    def __len__(self) -> int:
        return len(self.size)

    @property
    def largest(self) -> int:
        """The size of the largest set."""
        return int(self.size.max())

    def pairs(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """All pairs of a query of ``rows`` (r,) and an item of its set: positions in ``rows`` and gallery indices,
        (P,) int64 each."""
        size = self.size[rows]
        position = torch.arange(len(rows), device=rows.device).repeat_interleave(size)
        first = (self.start[rows] - (size.cumsum(0) - size)).repeat_interleave(size)
        return position, self.order[first + torch.arange(len(first), device=rows.device)]

    def take(self, rows: Tensor) -> ItemSets:
        """The sets of the queries ``rows`` (r,) int64."""
        return ItemSets(self.order, self.start[rows], self.size[rows])

    def to(self, device: torch.device) -> ItemSets:
        """The same sets on ``device``."""
        return ItemSets(self.order.to(device), self.start.to(device), self.size.to(device))
