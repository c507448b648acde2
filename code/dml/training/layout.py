"""How the networks of a run lie in memory (``--memory-format``), and in which numbers they could compute faster."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch

from dml.config import TrainConfig
from dml.errors import Note
from dml.methods.base import Method
from dml.models.memory_format import AUTO, best_memory_format, lay_out, works_by_channel

# As of torch 2.14: with MALLOC_CHECK_=3 a single backward pass of fastvit_t8 ends the process, at any size.
BROKEN_IN_ONEDNN = ("timm/fastvit",)
BFLOAT16_UNITS = ("amx_bf16", "avx512_bf16")


def with_memory_format(config: TrainConfig, method: Method, device: torch.device) -> TrainConfig:
    """Lay out every network of ``method`` as the settings say, and give those with what ``auto`` means here: what a
    run began with it keeps, wherever it goes on."""
    chosen = config.run.memory_format
    if chosen == AUTO:
        chosen = best_memory_format(method.model, device, mixed=config.run.precision != "32")
    for network in method.networks():
        lay_out(network, chosen)
    return replace(config, run=replace(config.run, memory_format=chosen))


def avoid_broken_kernels(method: Method, device: torch.device) -> None:
    """Switch oneDNN off in this process where a network trains on a CPU whose backward pass it breaks.

    Warns:
        Note: that it is off, and for which network.
    """
    name = getattr(getattr(method.model, "architecture", None), "backbone", "")
    if device.type == "cpu" and name.startswith(BROKEN_IN_ONEDNN):
        torch.backends.mkldnn.enabled = False
        warnings.warn(
            f"{name}: oneDNN, by which torch computes convolutions on a CPU, corrupts memory in its backward pass, and"
            " is off: steps take longer",
            Note,
        )


def bfloat16_told(config: TrainConfig, method: Method, device: torch.device) -> list[str]:
    """A line for people whose processor would train their network in about half the time by ``--precision bf16-mixed``.

    Not of networks with a convolution for each channel, which take longer in bfloat16 on a CPU.
    """
    gains = device.type == "cpu" and config.run.precision == "32" and not works_by_channel(method.model)
    if not gains or not has_bfloat16_units() or config.finetuning.cache_features:
        return []
    return ["this processor multiplies in bfloat16: --precision bf16-mixed takes about half the time for each step"]


def has_bfloat16_units() -> bool:
    """Whether the processor has instructions for products in bfloat16; older versions of torch do not say."""
    look = getattr(torch.cpu, "get_capabilities", None)
    return look is not None and any(look().get(name) for name in BFLOAT16_UNITS)
