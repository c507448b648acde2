"""Transfer losses by name: what the target network learns from a frozen source network.

Each is called as ``loss(target, source, *, labels, indices) -> scalar`` with a ``Representation`` of either network.
A new one is one file beside this one, one line of ``TRANSFER_LOSSES``, one test.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from dml.losses.transfer.contract import Representation
from dml.losses.transfer.spec import TransferLossSpec, TransferSizes
from dml.registry import Registry

__all__ = [
    "TRANSFER_LOSSES",
    "Representation",
    "TransferLossSpec",
    "TransferSizes",
    "create_transfer_loss",
]

TRANSFER_LOSSES: Registry[TransferLossSpec] = Registry.collected(
    "transfer loss",
    __name__,
    (
        "relaxed_contrastive",
        "relaxed_ms",
        "rkd",
        "pkt",
        "darkrank",
        "attention",
        "fitnet",
        "crd",
    ),
)


def create_transfer_loss(name: str, *, sizes: TransferSizes, options: Mapping[str, object] | None = None) -> nn.Module:
    """Build a loss of ``TRANSFER_LOSSES`` for two networks and a training set.

    Args:
        name: a name or published spelling.
        options: flag name → value, for the options that this loss has; others keep their defaults.

    Raises:
        UnknownNameError: no such loss.
        UserError: an option that this loss does not have, listing those that it has.
    """
    spec = TRANSFER_LOSSES[name]
    return spec.build(**spec.arguments(options or {}), **spec.sized_by(sizes))
