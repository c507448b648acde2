"""What the nearest photographs say a new one shows: names by vote, with a score each.

Each of the nearest ``VOTERS`` photographs votes for its label with the weight exp(s / τ), s its similarity in 0..1 and
τ = 0.03 (the weighted nearest neighbours of Wu et al., Unsupervised Feature Learning via Non-Parametric Instance
Discrimination, CVPR 2018, §3.4; there 200 vote, with τ = 0.07). So the very nearest count most, and none that is far
off counts against them. A name's score is its share of the weights times the similarity of its nearest photograph:
small where others are as likely, and small where nothing is near. The best score below the threshold of the index means
that the product is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dml.search.items import Item, state_of

VOTERS = 30
TEMPERATURE = 0.03
_QUERIES = 256  # whose votes are counted at a time, VOTERS² numbers each


@dataclass(frozen=True)
class Found:
    """A photograph of the index that is near.

    Attributes:
        item: which.
        similarity: 0..1.
        state: of its file: PRESENT, CHANGED or GONE.
    """

    item: Item
    similarity: float
    state: str


@dataclass(frozen=True)
class Name:
    """What a photograph may show.

    Attributes:
        name: a label of the index.
        score: 0..1, see above.
        photographs: those of the label that are near, nearest first.
    """

    name: str
    score: float
    photographs: tuple[Found, ...]


@dataclass(frozen=True)
class Answer:
    """What an index says of a photograph.

    Attributes:
        names: best first; none where the index has no labels.
        nearest: the nearest photographs, whatever they show.
        threshold: the score from which on the best name is believed; None: the index is not calibrated.
    """

    names: tuple[Name, ...]
    nearest: tuple[Found, ...]
    threshold: float | None

    @property
    def is_unknown(self) -> bool:
        """Whether the photograph shows nothing that the index has, as far as can be told."""
        return bool(self.names) and self.threshold is not None and self.names[0].score < self.threshold


def similarity_of(values: Tensor, *, distance: str, scale: float) -> Tensor:
    """0..1 of what a search returns, of any shape: cosines, negative ones as 0, or exp(−d / (2 · scale)).

    Args:
        scale: a distance that is usual between the nearest photographs.
    """
    if distance == "cosine":
        return values.clamp(0.0, 1.0).nan_to_num(0.0)
    return torch.exp(values / (-2.0 * scale))


def vote(similarities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Count the votes.

    Args:
        similarities: (Q, m) of each query's nearest photographs, nearest first; 0 or less of those that do not count.
        labels: (Q, m) int64, theirs; −1: none, and no vote.

    Returns:
        (Q, m) int64 places, among the m, of the nearest photograph of each label, that of the best label first; and
        their labels' scores (Q, m), −inf behind the last label.
    """
    parts = [
        _vote(near, named) for near, named in zip(similarities.split(_QUERIES), labels.split(_QUERIES), strict=True)
    ]
    places, scores = zip(*parts, strict=True)
    return torch.cat(places), torch.cat(scores)


def _vote(similarities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    votes = (labels >= 0) & (similarities > 0)
    # Less the largest, which changes no share.
    weights = torch.where(votes, ((similarities - similarities[:, :1]) / TEMPERATURE).exp(), 0.0)
    alike = (labels[:, :, None] == labels[:, None]) & votes[:, :, None]  # (Q, m, m)
    total = weights.sum(1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
    share = (alike * weights[:, None]).sum(2) / total
    is_nearest = votes & ~alike.tril(-1).any(2)
    scores = torch.where(is_nearest, share * similarities, -torch.inf)
    scores, places = scores.sort(dim=1, descending=True, stable=True)
    return places, scores


def answer_of(items: Sequence[Item], near: Tensor, *, threshold: float | None, top: int) -> Answer:
    """What the nearest photographs say of one query.

    Args:
        items: the m nearest, nearest first; the first ``VOTERS`` vote.
        near: (m,) their similarities, 0..1.
        threshold: see ``Answer``.
        top: names, and photographs, that the answer has at most.
    """
    numbers = {label: number for number, label in enumerate(dict.fromkeys(item.label for item in items))}
    labels = torch.tensor([-1 if item.label is None else numbers[item.label] for item in items])
    voters = slice(0, VOTERS)
    places, scores = (part[0] for part in vote(near[None, voters], labels[None, voters]))
    found = [Found(item, float(value), state_of(item)) for item, value in zip(items[:top], near[:top], strict=True)]
    names = []
    for place, score in zip(places[:top].tolist(), scores[:top].tolist(), strict=True):
        if score == -math.inf:
            break
        of_name = [other for other in range(len(items)) if items[other].label == items[place].label][:top]
        shown = tuple(Found(items[other], float(near[other]), state_of(items[other])) for other in of_name)
        names.append(Name(items[place].label, score, shown))
    return Answer(tuple(names), tuple(found), threshold)
