"""The two conventions of unit length that the published systems use (METHODS §0)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-12


def l2_normalize(vectors: Tensor, eps: float = EPS) -> Tensor:
    """n_eps: ``v / sqrt(Σ v² + eps)`` along the last dimension, (..., D) → (..., D).

    The epsilon stands inside the root, as in the Proxy-Anchor family; a zero row stays zero, with a finite
    gradient. Half-precision input is normalised in float32 and returned in its own type.
    """
    wide = widen(vectors)
    return (wide * torch.rsqrt(wide.square().sum(-1, keepdim=True) + eps)).to(vectors.dtype)


def widen(tensor: Tensor) -> Tensor:
    """Half-precision tensors in float32, others as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def cosine_similarity_matrix(a: Tensor, b: Tensor, eps: float = EPS) -> Tensor:
    """(A, D) and (B, D) of any norm → (A, B) similarities n_eps(a_i) · n_eps(b_j), in float32 or wider.

    The norms divide the A × B products rather than the vectors: cheaper, forward and backward, while A, B < D.
    """
    a, b = widen(a), widen(b)
    inverse_norms = [torch.rsqrt(rows.square().sum(1) + eps) for rows in (a, b)]
    return (a @ b.T) * inverse_norms[0][:, None] * inverse_norms[1]


def l2_normalize_clamped(vectors: Tensor) -> Tensor:
    """n_clamp: ``v / max(‖v‖, 1e-12)`` along the last dimension, the convention of ``F.normalize``."""
    return F.normalize(vectors, dim=-1, eps=EPS)
