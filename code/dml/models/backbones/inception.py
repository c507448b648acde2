"""What the networks of the Inception family share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Inception(nn.ModuleDict):
    """Parallel branches over one input, their outputs concatenated along the channels in order."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, sum of the branches' channels, H', W')."""
        return torch.cat([branch(x) for branch in self.values()], dim=1)


def init_convolutions(network: nn.Module) -> None:
    """Kaiming normal initialisation of every convolution, bias 0 (for training without ImageNet weights)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
