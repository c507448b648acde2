"""Relational knowledge distillation (Park et al., CVPR 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dml.losses.distances import pairwise_distances
from dml.losses.transfer.contract import Representation, embedding_pair
from dml.losses.transfer.spec import TransferLossSpec

MIN_LENGTH = 1e-12


class RKDLoss(nn.Module):
    """The target keeps the source's distances and angles (METHODS §7): both under smooth-L1, raw embeddings.

    Distances are divided by their mean over pairs; the angle at i between j and k is the cosine of x_j − x_i and
    x_k − x_i. O(B³·D) time and O(B²·(B + D)) memory for the angles.

    Args:
        distance_weight, angle_weight: factors of the two terms.
    """

    def __init__(self, *, distance_weight: float = 1.0, angle_weight: float = 2.0):
        super().__init__()
        self.distance_weight, self.angle_weight = distance_weight, angle_weight

    def forward(self, target: Representation, source: Representation, *, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the embeddings alone. ValueError if they do not fit each other."""
        t, s = embedding_pair(target, source)
        return self.distance_weight * distance_loss(t, s) + self.angle_weight * angle_loss(t, s)


def distance_loss(target: Tensor, source: Tensor) -> Tensor:
    """(B, Dt), (B, Ds) → scalar: mean over all B² entries of smooth-L1 between the scaled distances."""
    return F.smooth_l1_loss(_scaled_distances(target), _scaled_distances(source))


def _scaled_distances(x: Tensor) -> Tensor:
    """pd over its mean off the diagonal, which the clamp keeps positive everywhere."""
    distances = pairwise_distances(x)
    return distances * (len(x) * (len(x) - 1) / distances.sum())


def angle_loss(target: Tensor, source: Tensor) -> Tensor:
    """(B, Dt), (B, Ds) → scalar: mean over all B³ entries of smooth-L1 between the cosines of angles."""
    return F.smooth_l1_loss(_angles(target), _angles(source))


def _angles(x: Tensor) -> Tensor:
    """(B, D) → (B, B, B) cosine at i between j and k; 0, without gradient, where j or k coincides with i.

    From the difference vectors themselves: expanding the products would lose close neighbours in rounding.
    NOTE: the published gradient is about 1e12 where two rows coincide; here it is 0.
    """
    differences = x[None] - x[:, None]
    products = torch.bmm(differences, differences.mT)
    squares = products.diagonal(dim1=1, dim2=2)  # (B, B) ‖x_j − x_i‖²
    apart = squares > MIN_LENGTH**2
    inverse_lengths = torch.where(apart, squares, 1).rsqrt() * apart
    return products * inverse_lengths[:, :, None] * inverse_lengths[:, None]


SPEC = TransferLossSpec(name="rkd", build=RKDLoss, spellings=("RKD",))
