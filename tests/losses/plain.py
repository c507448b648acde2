"""Slow plain versions, written from the formulas: oracles for the tests, yardsticks for the benchmark."""

from __future__ import annotations

import torch
from torch import Tensor


def proxy_anchor_loop(embeddings: Tensor, labels: Tensor, proxies: Tensor, margin: float, alpha: float) -> Tensor:
    """METHODS §1, class by class, log(1 + Σ exp) as it stands."""
    x = embeddings / (embeddings.square().sum(1, keepdim=True) + 1e-12).sqrt()
    p = proxies / (proxies.square().sum(1, keepdim=True) + 1e-12).sqrt()
    pull, push, present = embeddings.new_zeros(()), embeddings.new_zeros(()), 0
    for c in range(len(p)):
        cosine, inside = x @ p[c], labels == c
        push = push + torch.log(1 + torch.exp(alpha * (cosine[~inside] + margin)).sum())
        if inside.any():
            present += 1
            pull = pull + torch.log(1 + torch.exp(-alpha * (cosine[inside] - margin)).sum())
    return pull / present + push / len(p)


def proxy_anchor_binarized(embeddings: Tensor, labels: Tensor, proxies: Tensor, margin: float, alpha: float) -> Tensor:
    """The same with labels made one-hot on the CPU by scikit-learn, as the published code does (C ≥ 3)."""
    from sklearn.preprocessing import label_binarize

    x = embeddings / (embeddings.square().sum(1, keepdim=True) + 1e-12).sqrt()
    p = proxies / (proxies.square().sum(1, keepdim=True) + 1e-12).sqrt()
    cosine = x @ p.T
    inside = torch.from_numpy(label_binarize(labels.cpu().numpy(), classes=range(len(p)))).to(embeddings)
    outside = 1 - inside
    pull_exp, push_exp = torch.exp(-alpha * (cosine - margin)), torch.exp(alpha * (cosine + margin))
    present = (inside.sum(0) != 0).sum()
    zeros = torch.zeros_like(pull_exp)
    pull = torch.log(1 + torch.where(inside == 1, pull_exp, zeros).sum(0)).sum() / present
    push = torch.log(1 + torch.where(outside == 1, push_exp, zeros).sum(0)).sum() / len(p)
    return pull + push


def proxy_nca_loop(embeddings: Tensor, labels: Tensor, proxies: Tensor, scale: float, with_positive: bool) -> Tensor:
    """METHODS §2a (positive left out, x as given) and §2b (positive kept, squared distances), sample by sample."""
    p = proxies / proxies.norm(dim=1, keepdim=True).clamp_min(1e-12)
    total = embeddings.new_zeros(())
    for x, y in zip(embeddings, labels, strict=True):
        if with_positive:
            x = x / x.norm().clamp_min(1e-12)
            scores = -scale * (x - p).square().sum(1)
            total = total - torch.log(torch.exp(scores[y]) / torch.exp(scores).sum())
        else:
            scores = scale * (p @ x)
            others = torch.cat([scores[:y], scores[y + 1 :]])
            total = total - scores[y] + torch.log(torch.exp(others).sum())
    return total / len(labels)
