"""A slow plain version of the self-taught loss, written from METHODS §12 row by row: oracle and yardstick."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def relative_distances_of(x: Tensor, i: int) -> Tensor:
    """Row i of r: (B,) distances over their mean, without gradient where they are 0."""
    squares = (x - x[i]).square().sum(1)
    apart = squares > 0
    distances = torch.where(apart, squares.where(apart, torch.ones_like(squares)).sqrt(), 0.0)
    return distances / distances.mean()


def similarity_loop(teacher: Tensor, images: Tensor, sigma: float, k: int) -> Tensor:
    """W, by sets of neighbours."""
    unit, rows = F.normalize(teacher), range(len(teacher))
    pairwise = torch.stack([torch.exp(-(unit - unit[i]).square().sum(1) / sigma) for i in rows])
    sought = pairwise.masked_fill(images[:, None] == images, 1)
    ranked = [row.topk(k).indices.tolist() for row in sought]
    reciprocal = [{j for j in ranked[i] if i in ranked[j]} for i in rows]
    overlap = torch.zeros_like(pairwise)
    for i in rows:
        for j in reciprocal[i]:
            overlap[i, j] = len(reciprocal[i] & reciprocal[j]) / len(reciprocal[i])
    expanded = torch.stack([overlap[ranked[i][: round(k / 2)]].mean(0) for i in rows])
    return (pairwise + (expanded + expanded.T) / 2) / 2


def stml_loop(
    f: Tensor,
    g: Tensor,
    teacher: Tensor,
    images: Tensor,
    *,
    sigma: float = 1.0,
    delta: float = 1.0,
    k: int = 10,
    normalize: bool = False,
) -> Tensor:
    """The whole loss."""
    if normalize:
        f, g = F.normalize(f), F.normalize(g)
    similarity, rows = similarity_loop(teacher, images, sigma, k), len(f)
    contrastive, divergence = f.new_zeros(()), f.new_zeros(())
    for i in range(rows):
        others, w = torch.arange(rows, device=f.device) != i, similarity[i]
        relations = [relative_distances_of(x, i) for x in (f, g)]
        for r in relations:
            terms = w * r**2 + (1 - w) * (delta - r).clamp_min(0) ** 2
            contrastive = contrastive + terms[others].sum() / (rows * (rows - 1))
        p, q = (F.softmax(-r, 0) for r in relations[::-1])
        p = p.detach()
        divergence = divergence + (p * (p.log() - q.log())).sum() / rows
    return contrastive / 2 + divergence
