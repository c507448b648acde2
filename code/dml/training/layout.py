"""How the networks of a run lie in memory (``--memory-format``)."""

from __future__ import annotations

from dataclasses import replace

import torch

from dml.config import TrainConfig
from dml.methods.base import Method
from dml.models.memory_format import AUTO, best_memory_format, lay_out


def with_memory_format(config: TrainConfig, method: Method, device: torch.device) -> TrainConfig:
    """Lay out every network of ``method`` as the settings say, and give those with what ``auto`` means here: what a
    run began with it keeps, wherever it goes on."""
    chosen = config.run.memory_format
    if chosen == AUTO:
        chosen = best_memory_format(method.model, device, mixed=config.run.precision != "32")
    for network in method.networks():
        lay_out(network, chosen)
    return replace(config, run=replace(config.run, memory_format=chosen))
