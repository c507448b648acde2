"""The composed losses of pytorch-metric-learning against their formulas."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dml.losses import create_loss

B, C, D = 20, 4, 8


def data():
    generator = torch.Generator().manual_seed(5)
    return 1 + torch.randn(B, D, dtype=torch.float64, generator=generator), torch.arange(B) % C


def evaluate(name: str) -> torch.Tensor:
    return create_loss(name, num_classes=C, embedding_size=D)(*data())


def test_multi_similarity():
    x, y = data()
    s, total = F.normalize(x) @ F.normalize(x).T, 0.0
    for i in range(B):
        positives = [s[i, j] for j in range(B) if y[j] == y[i] and j != i]
        negatives = [s[i, j] for j in range(B) if y[j] != y[i]]
        hard_positives = [v for v in positives if v - 0.1 < max(negatives)]
        hard_negatives = [v for v in negatives if v + 0.1 > min(positives)]
        for values, scale, sign in ((hard_positives, 2, -1), (hard_negatives, 50, 1)):
            if values:
                total += torch.log1p(sum(torch.exp(sign * scale * (v - 0.5)) for v in values)) / scale
    torch.testing.assert_close(evaluate("MS"), total / B)


def test_contrastive():
    x, y = data()
    d = torch.cdist(F.normalize(x), F.normalize(x))
    same = y[:, None] == y[None, :]
    pull = d[same & ~torch.eye(B, dtype=torch.bool)]
    push = (0.5 - d[~same]).clamp_min(0)
    expected = pull.mean() + push[push > 0].mean()  # the library averages over violated pairs
    torch.testing.assert_close(evaluate("Contrastive"), expected)


def test_triplet_semihard():
    x, y = data()
    d = torch.cdist(F.normalize(x), F.normalize(x))
    values = [
        d[a, p] - d[a, n] + 0.1
        for a in range(B)
        for p in range(B)
        for n in range(B)
        if a != p and y[a] == y[p] and y[a] != y[n] and 0 < d[a, n] - d[a, p] <= 0.1
    ]
    positive = torch.stack([v for v in values if v > 0])
    torch.testing.assert_close(evaluate("Triplet"), positive.mean())


def test_npairs_uses_raw_dot_products():
    x, y = data()
    anchors = [int((y == c).nonzero()[0]) for c in range(C)]
    positives = [int((y == c).nonzero()[1]) for c in range(C)]
    expected = F.cross_entropy(x[anchors] @ x[positives].T, torch.arange(C))
    torch.testing.assert_close(evaluate("NPair"), expected)
