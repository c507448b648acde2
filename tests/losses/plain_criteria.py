"""Slow plain versions of the criteria, written from METHODS §17 and the papers: oracles and yardsticks.

Each is called as ``plain(criterion, embeddings, labels, tuples)`` and reads settings and parameters off the criterion.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dml.miners import PairSets, Triplets


def triplet(loss: nn.Module, x: Tensor, labels: Tensor, triplets: Triplets) -> Tensor:
    """Squared distances, triplet by triplet."""
    costs = [
        ((x[a] - x[p]).square().sum() - (x[a] - x[n]).square().sum() + loss.margin).relu()
        for a, p, n in zip(*triplets, strict=True)
    ]
    return torch.stack(costs).mean()


def contrastive(loss: nn.Module, x: Tensor, labels: Tensor, triplets: Triplets) -> Tensor:
    """torch's PairwiseDistance, triplet by triplet."""
    distance = nn.PairwiseDistance()
    pull = [(distance(x[a], x[p]) - loss.pos_margin).relu() for a, p, _ in zip(*triplets, strict=True)]
    push = [(loss.neg_margin - distance(x[a], x[n])).relu() for a, _, n in zip(*triplets, strict=True)]
    return torch.stack(pull).mean() + torch.stack(push).mean()


def margin(loss: nn.Module, x: Tensor, labels: Tensor, triplets: Triplets) -> Tensor:
    """Triplet by triplet, divided by how many cost anything."""
    total, costing = x.new_zeros(()), 0
    for a, p, n in zip(*triplets, strict=True):
        near, far = (((x[a] - x[other]).square().sum() + 1e-8).sqrt() for other in (p, n))
        beta = loss.beta[labels[a]]
        parts = [(near - beta + loss.margin).relu(), (beta - far + loss.margin).relu()]
        total = total + sum(parts)
        costing += any(bool(part > 0) for part in parts)
    return total / max(costing, 1) + loss.nu * loss.beta.sum()


def snr(loss: nn.Module, x: Tensor, labels: Tensor, triplets: Triplets) -> Tensor:
    """Ratios of variances, triplet by triplet."""
    costs = [
        ((x[a] - x[p]).var() / x[a].var() - (x[a] - x[n]).var() / x[a].var() + loss.margin).relu()
        for a, p, n in zip(*triplets, strict=True)
    ]
    costing = [cost for cost in costs if cost > 0]
    balance = torch.stack([x[a].sum().abs() for a in triplets.anchors]).mean()
    return sum(costing) / max(len(costing), 1) + loss.reg_lambda * balance


def npair(loss: nn.Module, x: Tensor, labels: Tensor, sets: PairSets) -> Tensor:
    """Pair by pair, log(1 + Σ exp) as it stands."""
    x = x / loss.divisor
    costs = [
        torch.log(1 + torch.exp((x[negatives] - x[p]) @ x[a]).sum())
        for a, positives, negatives in zip(*sets, strict=True)
        for p in positives.nonzero().flatten()
    ]
    return torch.stack(costs).mean() + loss.l2 * x.norm(dim=1).mean()


def angular(loss: nn.Module, x: Tensor, labels: Tensor, sets: PairSets) -> Tensor:
    """Pair by pair."""
    unit, t = x / x.norm(dim=1, keepdim=True), loss.squared_tangent
    angles, pairs = [], []
    for a, positives, negatives in zip(*sets, strict=True):
        for p in positives.nonzero().flatten():
            exponents = 4 * t * unit[negatives] @ (unit[a] + unit[p]) - 2 * (1 + t) * unit[a] @ unit[p]
            angles.append(torch.log(1 + exponents.exp().sum()))
            pairs.append(torch.log(1 + torch.exp(((x[negatives] - x[p]) @ x[a]).clamp(-50, 50)).sum()))
    penalty = loss.l2 * x.norm(dim=1).mean()
    return torch.stack(pairs).mean() + loss.angular_weight * torch.stack(angles).mean() + penalty


def lifted(loss: nn.Module, x: Tensor, labels: Tensor, sets: PairSets) -> Tensor:
    """Anchor by anchor, the distances of its two sets."""
    costs = []
    for a, positives, negatives in zip(*sets, strict=True):
        near = (x[a] - x[positives] + 1e-6).norm(dim=1)
        far = (x[a] - x[negatives] + 1e-6).norm(dim=1)
        costs.append((torch.logsumexp(near, 0) + torch.logsumexp(loss.neg_margin - far, 0)).relu())
    return torch.stack(costs).mean() + loss.l2 * x.norm(dim=1).mean()


def multi_similarity(loss: nn.Module, x: Tensor, labels: Tensor, tuples: None) -> Tensor:
    """Anchor by anchor, as published; anchors without a positive are left out."""
    similarities, costs = x @ x.T, []
    for i in range(len(x)):
        same = labels == labels[i]
        positive, negative = (
            similarities[i][same & (torch.arange(len(x), device=x.device) != i)],
            similarities[i][~same],
        )
        if not len(positive) or not len(negative):
            continue
        kept_negative = negative[negative + loss.margin > positive.min()]
        kept_positive = positive[positive - loss.margin < negative.max()]
        if not len(kept_negative) or not len(kept_positive):
            continue
        pull = torch.log(1 + torch.exp(-loss.pos_weight * (kept_positive - loss.thresh)).sum())
        push = torch.log(1 + torch.exp(loss.neg_weight * (kept_negative - loss.thresh)).sum())
        costs.append(pull / loss.pos_weight + push / loss.neg_weight)
    return torch.stack(costs).mean()


def histogram(loss: nn.Module, x: Tensor, labels: Tensor, tuples: None) -> Tensor:
    """Pair by pair, triangular weights at each node."""
    step, counts = 2 / (loss.nbins - 1), {True: 0, False: 0}
    grid = torch.linspace(-1, 1, loss.nbins, dtype=x.dtype, device=x.device)
    nodes = {True: torch.zeros_like(grid), False: torch.zeros_like(grid)}
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            kind = bool(labels[i] == labels[j])
            nodes[kind] = nodes[kind] + (1 - ((x[i] @ x[j]).clamp(-1, 1) - grid).abs() / step).relu()
            counts[kind] += 1
    positive, negative = (nodes[kind] / counts[kind] for kind in (True, False))
    return sum(negative[r] * positive[: r + 1].sum() for r in range(loss.nbins))


def softmax(loss: nn.Module, x: Tensor, labels: Tensor, tuples: None) -> Tensor:
    """Sample by sample."""
    logits = x @ (loss.proxies / loss.proxies.norm(dim=1, keepdim=True)).T / loss.temperature
    return -torch.stack([row.log_softmax(0)[y] for row, y in zip(logits, labels, strict=True)]).mean()


def softtriple(loss: nn.Module, x: Tensor, labels: Tensor, tuples: None) -> Tensor:
    """The paper's form, sample by sample and class by class."""
    z = loss.centroids / loss.centroids.norm(dim=2, keepdim=True)
    classes, kinds = z.shape[:2]
    costs = []
    for row, y in zip(x, labels, strict=True):
        products = [z[c] @ row for c in range(classes)]
        scores = torch.stack([(torch.softmax(s / loss.gamma, 0) * s).sum() for s in products])
        margins = torch.zeros_like(scores)
        margins[y] = loss.margin_delta
        costs.append(-torch.log_softmax(loss.lam * (scores - margins), 0)[y])
    spread = sum(
        (2 + 1e-5 - 2 * z[c, j] @ z[c, k]).sqrt()
        for c in range(classes)
        for j in range(kinds)
        for k in range(j + 1, kinds)
    )
    return torch.stack(costs).mean() + loss.reg_weight * spread / (classes * kinds * (kinds - 1))


def arcface_unclamped(loss: nn.Module, x: Tensor, labels: Tensor, tuples: None) -> Tensor:
    """Sample by sample, with the angle itself."""
    cosines = (x / x.norm(dim=1, keepdim=True)) @ (loss.proxies / loss.proxies.norm(dim=1, keepdim=True)).T
    costs = []
    for row, y in zip(cosines, labels, strict=True):
        angle, m = torch.acos(row[y]), loss.angular_margin
        widened = torch.cos(angle + m) if angle < math.pi - m else row[y] - m * math.sin(m)
        logits = torch.cat([row[:y], widened[None], row[y + 1 :]])
        costs.append(-torch.log_softmax(loss.feature_scale * logits, 0)[y])
    return torch.stack(costs).mean()


def proxy_nca(loss: nn.Module, x: Tensor, labels: Tensor, tuples: None) -> Tensor:
    """Sample by sample."""
    x, p = (3 * rows / rows.norm(dim=1, keepdim=True) for rows in (x, loss.proxies))
    costs = []
    for row, y in zip(x, labels, strict=True):
        squares = (row - p).square().sum(1)
        costs.append(squares[y] + torch.log(torch.exp(-torch.cat([squares[:y], squares[y + 1 :]])).sum()))
    return torch.stack(costs).mean()


def smooth_ap(loss: nn.Module, x: Tensor, labels: Tensor, tuples: None) -> Tensor:
    """Query by query and item by item."""
    similarities, total = x @ x.T, x.new_zeros(())
    for i in range(len(x)):
        same = labels == labels[i]
        members = same.nonzero().flatten()
        for j in members:
            exponents = (-(similarities[i] - similarities[i, j]) / loss.temperature).clamp(-50, 50)
            ahead = 1 / (1 + exponents.exp())
            others = torch.arange(len(x), device=x.device) != j
            total = total + (1 + ahead[others & same].sum()) / (1 + ahead[others].sum()) / len(members)
    return 1 - total / len(x)


def smooth_ap_cube(loss: nn.Module, x: Tensor, labels: Tensor, tuples: None) -> Tensor:
    """All ranks of all items at once, over a (B, B, B) tensor of differences, as published."""
    similarities, same = x @ x.T, labels[:, None] == labels
    differences = similarities[:, None, :] - similarities[:, :, None]  # (i, j, k)
    ahead = 1 / (1 + (-differences / loss.temperature).clamp(-50, 50).exp())
    ahead = ahead * (1 - torch.eye(len(x), dtype=x.dtype, device=x.device))
    ranks, ranks_in_class = 1 + ahead.sum(2), 1 + (ahead * same[:, None, :]).sum(2)
    return 1 - (same * ranks_in_class / ranks / same.sum(1, keepdim=True)).sum() / len(x)


def quadruplet_as_published(loss: nn.Module, x: Tensor, fourth: Tensor, triplets: Triplets) -> Tensor:
    """Every triplet with the fourth sample of every triplet; ``fourth`` stands where others take labels."""
    total, first = x.new_zeros(()), x.new_zeros(())
    for a, p, n in zip(*triplets, strict=True):
        near = (x[a] - x[p]).norm()
        first = first + (near - (x[a] - x[n]).norm() + loss.margin_alpha_1).relu()
        for f in fourth:
            total = total + (near - (x[n] - x[f]).norm() + loss.margin_alpha_2).relu()
    count = len(triplets.anchors)
    return first / count + total / (count * len(fourth))


def quadruplet(loss: nn.Module, x: Tensor, labels: Tensor, triplets: Triplets) -> Tensor:
    """The paper's form, every fourth sample of a third class."""
    first, second = [], []
    for a, p, n in zip(*triplets, strict=True):
        near = (x[a] - x[p]).norm()
        first.append((near - (x[a] - x[n]).norm() + loss.margin_alpha_1).relu())
        fourth = ((labels != labels[a]) & (labels != labels[n])).nonzero().flatten()
        if len(fourth):
            second.append(
                torch.stack([(near - (x[n] - x[f]).norm() + loss.margin_alpha_2).relu() for f in fourth]).mean()
            )
    return torch.stack(first).mean() + torch.stack(second).mean()


def quadruplet_broadcast(loss: nn.Module, x: Tensor, fourth: Tensor, triplets: Triplets) -> Tensor:
    """``quadruplet_as_published`` over a (T, T, D) tensor of differences, as published."""
    anchors, positives, negatives = (x[positions] for positions in triplets)
    near = (anchors - positives).norm(dim=1)
    first = (near - (anchors - negatives).norm(dim=1) + loss.margin_alpha_1).relu().mean()
    beyond = (negatives[:, None] - x[fourth]).norm(dim=2)
    return first + (near[:, None] - beyond + loss.margin_alpha_2).relu().mean()
