"""How embeddings spread: distances within and between classes, and how evenly directions are used.

From Roth et al., Revisiting Training Strategies and Generalization Performance in Deep Metric Learning (2020);
as computed in METHODS §20. All of it costs O(N·D) or O(N·D²); no pair of samples is ever formed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

_CHUNK_ROWS = 8192  # rows taken up to float64 at a time
_COLLAPSED = 1e-3  # a relative spread as small as this is a network's that maps every image to one point
_SMALLEST_RATIO = 1e-8  # of the distance between classes, which divides
_ROUNDING = 2.0**-24  # singular values below this share of the largest are noise of float32 embeddings


@torch.no_grad()
def class_distances(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    """Mean cosine distances 1 − cos, each 0..2.

    * ``intra``: over the ordered pairs of a class, then over classes. NOTE: a class of one image has no pair and
      is left out; the published code puts the value of another class there, by a slip of its indexing.
    * ``inter``: between the means of the raw embeddings of two classes, over ordered pairs of classes.
    * ``intra_over_inter``: their ratio, the divisor at least 1e-8.

    0 where there is no pair at all.

    Args:
        embeddings: (N, D) floating point.
        labels: (N,) integer.

    Raises:
        ValueError: embeddings that are not finite.
    """
    per_class = intra_class_distances(embeddings, labels)
    within = per_class[~per_class.isnan()]
    intra = float(within.mean()) if len(within) else 0.0
    inter = _between_classes(embeddings, labels)
    return {"intra": intra, "inter": inter, "intra_over_inter": intra / max(inter, _SMALLEST_RATIO)}


@torch.no_grad()
def relative_spread(embeddings: Tensor, *, distance: str) -> float:
    """How far embeddings lie from their mean, in units of their length: root mean squares, 0 if all are equal.

    0..1: it is the square root of 1 − ‖mean‖² / mean ‖v‖². Embeddings that are all zero have no spread.

    Args:
        embeddings: (N, D) floating point, finite; at a cost of N·D.
        distance: ``cosine`` takes them at unit length, ``euclidean`` as they are.
    """
    count, total, squares = len(embeddings), 0.0, 0.0
    mean = sum(_rows(rows, distance).sum(0) for rows in embeddings.split(_CHUNK_ROWS)) / count
    for rows in embeddings.split(_CHUNK_ROWS):
        rows = _rows(rows, distance)
        squares += float(rows.square().sum())
        total += float((rows - mean).square().sum())
    return (total / squares) ** 0.5 if squares else 0.0


def collapse(embeddings: Tensor, *, distance: str) -> str | None:
    """What is to be said of embeddings (N, D) whose relative spread is below 0.001, all but equal; None of others."""
    spread = relative_spread(embeddings, distance=distance)
    if not spread < _COLLAPSED or len(embeddings) < 2:
        return None
    return (
        f"the network has collapsed: the embeddings of all {len(embeddings)} images are nearly equal (their distance"
        f" from their mean is {spread:.1e} of their length), so that nothing can be found by them"
    )


def _rows(embeddings: Tensor, distance: str) -> Tensor:
    rows = embeddings.double()
    return normalize(rows) if distance == "cosine" else rows


@torch.no_grad()
def intra_class_distances(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Mean cosine distance over the ordered pairs of each class (C,) float64, classes ascending; NaN for singletons.

    The cosines of n unit vectors sum up to the square of the length of their sum: over pairs of different ones,
    ‖Σ u‖² − n.
    """
    sums, count = _class_sums(embeddings, labels, unit_length=True)
    pairs = count * (count - 1)
    return (1 - (sums.square().sum(1) - count) / pairs).where(pairs > 0, torch.nan)


def _between_classes(embeddings: Tensor, labels: Tensor) -> float:
    sums, count = _class_sums(embeddings, labels, unit_length=False)
    num_classes = len(count)
    if num_classes < 2:
        return 0.0
    direction = normalize(sums / count[:, None]).sum(0)
    return float(1 - (direction.square().sum() - num_classes) / (num_classes * (num_classes - 1)))


def _class_sums(embeddings: Tensor, labels: Tensor, *, unit_length: bool) -> tuple[Tensor, Tensor]:
    """Sum of each class's embeddings (C, D), normalised ones if ``unit_length``, and its size (C,), in float64."""
    _check_finite(embeddings)
    classes, position = labels.unique(return_inverse=True)
    sums = torch.zeros(len(classes), embeddings.shape[1], dtype=torch.float64, device=embeddings.device)
    for rows, place in zip(embeddings.split(_CHUNK_ROWS), position.split(_CHUNK_ROWS), strict=True):
        sums.index_add_(0, place, normalize(rows.double()) if unit_length else rows.double())
    return sums, position.bincount(minlength=len(classes)).double()


@torch.no_grad()
def singular_values(embeddings: Tensor) -> Tensor:
    """All D singular values of the uncentred (N, D) embeddings, largest first: (D,) float64.

    From the D×D matrix of products, summed up in float64: values below 1e-8 of the largest are lost, which is
    below what float32 embeddings hold.

    Raises:
        ValueError: embeddings that are not finite.
    """
    _check_finite(embeddings)
    dim = embeddings.shape[1]
    product = torch.zeros(dim, dim, dtype=torch.float64, device=embeddings.device)
    for rows in embeddings.split(_CHUNK_ROWS):
        rows = rows.double()
        product.addmm_(rows.T, rows)
    return torch.linalg.eigvalsh(product).clamp_min_(0).sqrt_().flip(0)


def rho_spectrum(values: Tensor, number: int) -> float | list[float]:
    """How far the singular values are from even: the ρ of the spectrum, or the spectrum itself.

    q are the values' shares of their sum, u the uniform distribution, both over what is left when the |m| − 1
    largest values are taken away. 0 where fewer than two are left. A value that is zero counts as the rounding of
    float32 does, so that the result is finite for embeddings that leave a dimension unused.

    Args:
        values: (n,) singular values, largest first. NOTE: published are the D − 1 largest (the default, computed
            on the CPU) or all D (on a GPU).
        number: m = 0 gives q as a list; m > 0 KL(u‖q); m < 0 KL(q‖u), in nats.
    """
    if number == 0:
        return (values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)).tolist()
    values = values.clamp_min(float(values[:1].sum()) * _ROUNDING)[abs(number) - 1 :]
    if len(values) < 2 or not values.any():
        return 0.0
    log_share = (values / values.sum()).log()
    log_uniform = torch.full_like(values, 1 / len(values)).log()
    first, second = (log_uniform, log_share) if number > 0 else (log_share, log_uniform)
    return float((first.exp() * (first - second)).sum())


def spectra(embeddings: Tensor, numbers: Sequence[int]) -> dict[int, float | list[float]]:
    """``rho_spectrum`` of the D − 1 largest singular values of ``embeddings`` (N, D), for each m of ``numbers``."""
    values = singular_values(embeddings)
    values = values[: max(1, min(len(embeddings), len(values) - 1))]
    return {number: rho_spectrum(values, number) for number in numbers}


def _check_finite(embeddings: Tensor) -> None:
    if not embeddings.isfinite().all():
        raise ValueError("embeddings hold NaN or infinite values")
