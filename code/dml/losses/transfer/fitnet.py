"""FitNet hints (Romero et al., ICLR 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from dml.losses.transfer.contract import Representation, map_pairs
from dml.losses.transfer.spec import TransferLossSpec

INIT_RANGE = 0.005


class FitNetLoss(nn.Module):
    """The target's maps, through a learned 1×1 convolution per stage, equal the source's (METHODS §10).

    Mean squared difference, summed over the matched stages. Cost: that of the convolutions.

    Args:
        target_channels, source_channels: of the matched stages, in their order.
    """

    def __init__(self, *, target_channels: Sequence[int], source_channels: Sequence[int]):
        super().__init__()
        self.adapters = nn.ModuleList(
            nn.Conv2d(t, s, kernel_size=1, bias=False) for t, s in zip(target_channels, source_channels, strict=True)
        )
        for adapter in self.adapters:
            nn.init.uniform_(adapter.weight, -INIT_RANGE, INIT_RANGE)

    def forward(self, target: Representation, source: Representation, *, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the feature maps alone. ValueError if they do not fit each other or the adapters."""
        pairs = map_pairs(target, source)
        sizes = [(t.shape[1], s.shape[1]) for t, s in pairs]
        expected = [(adapter.in_channels, adapter.out_channels) for adapter in self.adapters]
        if sizes != expected:
            raise ValueError(f"feature maps must have (target, source) channels {expected}, got {sizes}")
        return sum(F.mse_loss(adapter(t), s) for adapter, (t, s) in zip(self.adapters, pairs, strict=True))


SPEC = TransferLossSpec(
    name="fitnet",
    build=FitNetLoss,
    spellings=("FitNet",),
    needs="maps",
    with_proxy_anchor=True,
    fewest_rows=1,
)
