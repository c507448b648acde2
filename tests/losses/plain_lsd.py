"""The published loop over anchors of listwise self-distillation, positives first in every list."""

from __future__ import annotations

import torch
from torch import Tensor


def plain_divergence(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, scale: float) -> Tensor:
    """Mean over anchors of the divergence between the two lists of an anchor."""
    ours, theirs = student @ student.T, teacher @ teacher.T
    terms = []
    for i in range(len(labels)):
        same, other = labels == labels[i], labels != labels[i]
        lists = [torch.cat([row[same], row[other] * scale]) / temperature for row in (ours[i], theirs[i])]
        log_p, p = torch.log_softmax(lists[0], 0), torch.softmax(lists[1], 0)
        terms.append((p * (p.log() - log_p)).sum())
    return torch.stack(terms).mean()
