"""What an index would say of photographs whose product is known: the raw material of its calibration."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from dml.neighbours import ItemSets
from dml.search.answers import VOTERS, similarity_of, vote
from dml.search.calibration import AT_LEAST, Judged
from dml.search.exact import ExactSearch

MOST = 2000  # photographs of the index that are asked about


def usual_distance(exact: ExactSearch, *, most: int = MOST) -> float:
    """The median distance of a photograph to the nearest other one."""
    if len(exact) < 2:
        return 1.0
    some = torch.from_numpy(_some(exact.rows, most))
    _, values = exact.search(torch.from_numpy(exact.vectors[some.numpy()]), 1, exclude=ItemSets.one_each(some))
    return max(float(values.median()), torch.finfo(torch.float32).tiny)


def judge_held_out(
    exact: ExactSearch, labels: Tensor, vectors: Tensor, of_query: Tensor, *, distance: str, scale: float
) -> Judged:
    """The best names of photographs that are not in the index.

    Args:
        labels: (R,) int64 of each row, −1 for none.
        vectors: (n, D) of the photographs, and ``of_query`` (n,) their labels; −2: the index does not have it.
    """
    present = torch.isin(of_query, labels)
    return _judged(exact, labels, vectors, of_query, present, None, distance=distance, scale=scale)


def judge_left_out(
    exact: ExactSearch,
    labels: Tensor,
    names: Sequence[str],
    *,
    distance: str,
    scale: float,
    trained: Collection[str],
) -> tuple[Judged, str, str | None]:
    """The best names of photographs of the index, as if each, and then as if its product, were not there.

    Args:
        labels: (R,) int64 of each row, −1 for none; numbers of ``names``.
        trained: names of the classes that the network was trained on: photographs of others are asked about, if there
            are enough.

    Returns:
        the names; in words, which photographs these are; what is to be warned of.
    """
    labelled = exact.rows[labels.numpy()[exact.rows] >= 0]
    is_new = np.array([name not in trained for name in names], dtype=bool)
    rows = labelled[is_new[labels.numpy()[labelled]]] if len(labelled) else labelled
    counts = np.bincount(labels.numpy()[rows], minlength=len(names)) if len(rows) else np.zeros(0)
    how, warning = "photographs of products that the network was not trained on, each left out in its turn", None
    if not trained:
        how = "photographs of the index, each left out in its turn"
    elif (counts > 1).sum() < 2 or len(rows) < AT_LEAST:
        rows = labelled
        how = "photographs of products that the network was trained on, each left out in its turn"
        warning = (
            "calibrated by photographs of products that the network was trained on, which it knows better than others:"
            " expect less precision. `calibrate INDEX FOLDER` takes photographs that it has never seen"
        )
    rows = torch.from_numpy(_some(rows, MOST))
    if not len(rows):
        none = np.zeros(0)
        return Judged(none, none.astype(bool), none.astype(bool)), how, warning
    vectors, own = torch.from_numpy(exact.vectors[rows.numpy()]), labels[rows]
    several = labels[labels >= 0].bincount(minlength=len(names))[own] > 1
    options = {"distance": distance, "scale": scale}
    itself = _judged(exact, labels, vectors, own, several, ItemSets.one_each(rows), **options)
    product = ItemSets.of_same_group(own, labels)
    absent = torch.zeros_like(several)
    without = _judged(exact, labels, vectors, own, absent, product, **options)
    parts = [np.concatenate(pair) for pair in zip(_fields(itself), _fields(without), strict=True)]
    return Judged(*parts), how, warning


def _judged(
    exact: ExactSearch,
    labels: Tensor,
    vectors: Tensor,
    of_query: Tensor,
    present: Tensor,
    exclude: ItemSets | None,
    *,
    distance: str,
    scale: float,
) -> Judged:
    k = min(VOTERS, len(exact) - (0 if exclude is None else 1))
    if k < 1:
        scores = torch.full((len(vectors),), -torch.inf)
        return Judged(scores.numpy(), np.zeros(len(vectors), bool), present.numpy())
    rows, values = exact.search(vectors, k, exclude=exclude)
    there = values.isfinite()
    near = torch.where(there, similarity_of(values, distance=distance, scale=scale), 0.0)
    named = labels[rows]
    places, scores = vote(near, named)
    best = named.gather(1, places[:, :1])[:, 0]
    right = (best == of_query) & present & (scores[:, 0] > -torch.inf)
    return Judged(scores[:, 0].numpy(), right.numpy(), present.numpy())


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, drawn by a fixed seed, ascending."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def _fields(judged: Judged) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return judged.scores, judged.right, judged.present
