"""Attention transfer (Zagoruyko and Komodakis, ICLR 2017)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dml.losses.transfer.contract import Representation, map_pairs
from dml.losses.transfer.spec import TransferLossSpec
from dml.normalize import l2_normalize_clamped


class AttentionLoss(nn.Module):
    """The target looks where the source looks (METHODS §10), summed over the matched stages.

    A map's attention is its mean square over channels, flattened to unit length; the loss of a stage is the mean
    squared difference. Channels may differ, heights and widths may not. Linear in the size of the maps.
    """

    def forward(self, target: Representation, source: Representation, *, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the feature maps alone. ValueError if they do not fit each other."""
        return sum(F.mse_loss(_attention(t), _attention(s)) for t, s in map_pairs(target, source))


def _attention(maps: Tensor) -> Tensor:
    """(B, C, H, W) → (B, H·W) of unit length."""
    return l2_normalize_clamped(maps.square().mean(1).flatten(1))


SPEC = TransferLossSpec(
    name="attention",
    build=AttentionLoss,
    spellings=("Attention",),
    needs="maps",
    with_proxy_anchor=True,
    fewest_rows=1,
)
