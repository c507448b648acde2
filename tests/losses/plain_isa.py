"""Proxy-ISA as its formulas stand, class by class: oracle and yardstick."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class ProxyISALoop:
    """METHODS §3 with loops over classes; ``proxies`` (C, D) are the caller's, everything else is state."""

    def __init__(
        self,
        proxies: Tensor,
        *,
        memory_size: int,
        margin: float = 0.1,
        alpha: float = 32.0,
        k: float = 0.9,
        V: float = 100.0,
        lam: float = 0.1,
        h: float = 0.15,
        tau: float = 1.5,
    ):
        self.proxies, self.memory_size = proxies, memory_size
        self.margin, self.alpha, self.k, self.V, self.lam, self.h, self.tau = margin, alpha, k, V, lam, h, tau
        self.counter = [0.0] * len(proxies)
        self.effective = [0.0] * len(proxies)
        self.learned = [1.0] * len(proxies)
        self.rows = proxies.detach().new_zeros(memory_size, proxies.shape[1])
        self.row_labels = torch.full((memory_size,), -1)  # −1: nothing written yet
        self.pointer = 0
        self.memory_enabled = self.filter_enabled = False

    def thresholds(self, c: int) -> tuple[float, float]:
        """(w, o) of class ``c``."""
        balance = 1 / (1 + math.log(1 + self.effective[c]))
        weight = 1 + (1 + math.exp(-self.tau)) * (balance - 1) / (1 + math.exp(self.V - self.tau - self.effective[c]))
        return weight, self.learned[c] - (1 + self.k * (1 - self.learned[c])) * balance - self.lam

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Scalar loss of unit vectors (B, D) and labels (B,), then the update of the state."""
        pull, push = x.new_zeros(()), x.new_zeros(())
        pull_weight = push_weight = 0.0
        outlier = torch.zeros(len(y), dtype=torch.bool)
        proxies = self.proxies / (self.proxies.square().sum(1, keepdim=True) + 1e-12).sqrt()
        for c, cosine in enumerate((x @ proxies.T).unbind(1)):
            inside = y == c
            weight, threshold = self.thresholds(c)
            positive, negative = cosine[inside], cosine[~inside]
            if len(positive):
                weights = torch.ones_like(positive)
                if self.filter_enabled:
                    between = (positive >= threshold) & (positive <= self.learned[c])
                    weights = weight + between.to(positive.dtype)
                    outlier[inside] = positive.detach() < threshold
                pull = pull + torch.log(1 + torch.exp(self.alpha * weights * (self.margin - positive)).sum())
                pull_weight += weights.mean().item()
            if len(negative):
                weights = torch.ones_like(negative)
                weights[negative < threshold] = 1 / max(1.0, self.effective[c])
                push = push + torch.log(1 + torch.exp(self.alpha * weights * (negative + self.margin)).sum())
                push_weight += weights.mean().item()
        self._learn(x.detach(), y, ~outlier)
        return pull / pull_weight + push / push_weight

    def _learn(self, x: Tensor, y: Tensor, keep: Tensor) -> None:
        if self.memory_enabled:
            self._enqueue(x[keep], y[keep])
        beta = (self.V - 1) / self.V
        for c in y.unique().tolist():
            new = int((keep & (y == c)).sum())
            if new:
                self.counter[c] += new
                self.effective[c] = (1 - beta ** self.counter[c]) / (1 - beta)
            members = self.row_labels == c
            if self.memory_enabled and members.any():
                proxy = self.proxies[c].detach()
                proxy = proxy / (proxy.square().sum() + 1e-12).sqrt()
                self.learned[c] = self.h * float((self.rows[members] @ proxy).mean())

    def _enqueue(self, rows: Tensor, labels: Tensor) -> None:
        wraps = self.pointer + len(rows) > self.memory_size
        start = self.memory_size - len(rows) if wraps else self.pointer
        self.rows[start : start + len(rows)] = rows
        self.row_labels[start : start + len(rows)] = labels
        self.pointer = 0 if wraps else start + len(rows)
