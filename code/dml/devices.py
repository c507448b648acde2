"""What a device can compute: Apple's GPUs know no float64."""

from __future__ import annotations

import torch
from torch import nn


def first_device() -> torch.device:
    """The first GPU, Apple's where NVIDIA has none, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("mps", 0) if torch.backends.mps.is_available() else torch.device("cpu")


def has_float64(device: torch.device) -> bool:
    """Whether ``device`` computes in float64."""
    return device.type != "mps"


def finest_float(device: torch.device) -> torch.dtype:
    """float64, or float32 where the device has no more."""
    return torch.float64 if has_float64(device) else torch.float32


def exact_device(device: torch.device) -> torch.device:
    """Where what must be exact is computed: ``device`` itself, or the CPU if it has no float64."""
    return device if has_float64(device) else torch.device("cpu")


def fit_to_device(module: nn.Module, device: torch.device) -> nn.Module:
    """``module`` with its float64 buffers in the finest type of ``device``, where it is yet to be moved.

    NOTE: sums that are carried along from step to step (Proxy-ISA's, by class) lose digits in float32.
    """
    finest = finest_float(device)
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.dtype == torch.float64:
                setattr(part, name, buffer.to(finest))
    return module
