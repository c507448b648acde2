"""Slow plain versions of the transfer losses, written from the formulas row by row: oracles and yardsticks."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor


def distances_of(x: Tensor, i: int) -> Tensor:
    """Row i of pd: (B,) distances, the own one exactly 0."""
    squares = (x - x[i]).square().sum(1).clamp_min(1e-12)
    own = torch.arange(len(x)) == i
    return torch.where(own.to(x.device), 0, squares.sqrt())


def similarity_of(source: Tensor, i: int, sigma: float) -> Tensor:
    """Row i of the relaxed label: exp(−pd² / σ) of unit vectors."""
    return torch.exp(-distances_of(F.normalize(source), i).square() / sigma)


def relaxed_contrastive_loop(t: Tensor, s: Tensor, sigma: float = 1.0, delta: float = 1.0) -> Tensor:
    """METHODS §5."""
    total = t.new_zeros(())
    for i in range(len(t)):
        d, w = distances_of(t, i), similarity_of(s, i, sigma)
        r = d / d.mean()
        terms = w * r**2 + (1 - w) * (delta - r).clamp_min(0) ** 2
        total = total + terms[r > 0].sum()
    return total / len(t)


def relaxed_ms_loop(t: Tensor, s: Tensor, forced: bool, sigma=1.0, delta=1.0, a=1.0, b=2.0) -> Tensor:
    """METHODS §6, two views: rows i and i + B/2 are one image."""
    rows, half = [], len(t) // 2
    for i in range(len(t)):
        d, w = distances_of(t, i), similarity_of(s, i, sigma)
        if forced:
            w[(i + half) % len(t)] = 1
        r, others = d / d.mean(), torch.arange(len(t)) != i
        pull = torch.log(1 + (w * torch.exp(a * r))[others].sum()) / a
        push = torch.log(1 + ((1 - w) * torch.exp(b * (delta - r)))[others].sum()) / b
        rows.append(pull + push)
    return torch.stack(rows).mean()


def rkd_loop(t: Tensor, s: Tensor) -> Tensor:
    """METHODS §7: distances + 2 · angles, vertex by vertex."""
    distances = [torch.stack([distances_of(x, i) for i in range(len(x))]) for x in (t, s)]
    dt, ds = (d / d[d > 0].mean() for d in distances)
    angles = t.new_zeros(())
    for i in range(len(t)):
        et, es = (F.normalize(x - x[i]) for x in (t, s))
        angles = angles + F.smooth_l1_loss(et @ et.T, es @ es.T)
    return F.smooth_l1_loss(dt, ds) + 2 * angles / len(t)


def pkt_loop(t: Tensor, s: Tensor, eps: float = 1e-7) -> Tensor:
    """METHODS §8."""
    t, s = (x / (x.norm(dim=1, keepdim=True) + eps) for x in (t, s))
    total = t.new_zeros(())
    for i in range(len(t)):
        kt, ks = ((x @ x[i] + 1) / 2 for x in (t, s))
        qt, qs = kt / kt.sum(), ks / ks.sum()
        total = total + (qs * torch.log((qs + eps) / (qt + eps))).sum()
    return total / len(t) ** 2


def darkrank_loop(t: Tensor, s: Tensor, labels: Tensor, length: int = 4, margin: float = 0.2) -> Tensor:
    """METHODS §9: ranking by loops, triplets by pytorch-metric-learning as published."""
    from pytorch_metric_learning import losses, miners

    t, s = F.normalize(t), F.normalize(s)
    total = t.new_zeros(())
    for i in range(len(t)):
        order = (-3 * distances_of(s, i) ** 3).argsort(descending=True)[1 : length + 1]
        scores = -3 * distances_of(t, i)[order] ** 3
        for place in range(length):
            total = total - (scores[place] - torch.logsumexp(scores[place:], 0))
    mined = miners.TripletMarginMiner(margin=margin, type_of_triplets="all")(t, labels)
    return total / len(t) + losses.TripletMarginLoss(margin=margin)(t, labels, mined)


def triplets_loop(distances: Tensor, labels: Tensor, margin: float) -> Tensor:
    """The mean violated triplet, triplet by triplet."""
    values = []
    for a, p, n in itertools.product(range(len(labels)), repeat=3):
        if a != p and labels[a] == labels[p] != labels[n]:
            values.append(distances[a, p] - distances[a, n] + margin)
    violated = [value for value in values if value > 0]
    return torch.stack(violated).mean() if violated else distances.new_zeros(())


def crd_loop(loss, t: Tensor, s: Tensor, choices: Tensor) -> Tensor:
    """METHODS §11, row by row, from the state of ``loss`` before its first step; nothing is written."""
    heads = [head(x) for head, x in ((loss.target_head, t), (loss.source_head, s))]
    v1, v2 = (x / x.norm(dim=1, keepdim=True) for x in heads)
    total, k, n = t.new_zeros(()), loss.num_negatives, loss.num_images
    for memory, v in ((loss.source_memory, v1), (loss.target_memory, v2)):
        out = torch.stack([torch.exp(memory[c] @ row / loss.temperature) for row, c in zip(v, choices, strict=True)])
        o, noise = out / (out.mean().detach() * n), k / n
        for row in o:
            total = total - torch.log(row[0] / (row[0] + noise + 1e-7))
            total = total - torch.log(noise / (row[1:] + noise + 1e-7)).sum()
    return total / len(t)
