"""How the numbers of feature maps lie in memory: channel after channel, or all channels of a place together."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

AUTO, CONTIGUOUS, CHANNELS_LAST = MEMORY_FORMATS = ("auto", "contiguous", "channels_last")
_FORMATS = {CONTIGUOUS: torch.contiguous_format, CHANNELS_LAST: torch.channels_last}


def best_memory_format(network: nn.Module, device: torch.device, *, mixed: bool) -> str:
    """``contiguous`` or ``channels_last``, whichever a step of ``network`` is faster in.

    In ``channels_last`` sums run in another order, so that results differ in their last digits. Hence it is chosen
    where no published recipe trains: of convolutional networks in mixed precision, where both processors' and NVIDIA's
    units for it compute so, and on a CPU of networks with a convolution for each channel (MobileNet, EfficientNet,
    ConvNeXt). MobileNets and timm's networks with batch normalisation lay their images out so themselves, whatever
    their weights do; that these follow saves reordering them in each step, and at 96 pixels changes no bit. In float32
    the published networks gain as well on a CPU; that is asked for by ``--memory-format channels_last``.

    Args:
        mixed: whether it computes in float16 or bfloat16.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if device.type not in ("cpu", "cuda") or len(convolutions) < 2:  # one: it cuts patches for a transformer
        return CONTIGUOUS
    return CHANNELS_LAST if mixed or (device.type == "cpu" and works_by_channel(network)) else CONTIGUOUS


def works_by_channel(network: nn.Module) -> bool:
    """Whether there are convolutions that look at one channel each."""
    return any(isinstance(part, nn.Conv2d) and 1 < part.groups == part.in_channels for part in network.modules())


def lay_out(network: nn.Module, memory_format: str) -> None:
    """Lay the weights of ``network`` out in place; images and maps follow those of its first convolution.

    Args:
        memory_format: ``contiguous`` or ``channels_last``.
    """
    network.to(memory_format=_FORMATS[memory_format])


def recorded_memory_format(config: dict[str, Any] | None) -> str:
    """Of the run whose settings a checkpoint holds; ``contiguous`` where they do not say."""
    stored = ((config or {}).get("run") or {}).get("memory_format")
    return stored if stored in _FORMATS else CONTIGUOUS
