"""A network that follows another one: the exponential moving average behind self-taught and self-distilled training."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.structures import ModelOutput


class Teacher(nn.Module):
    """A network without gradients whose weights follow a student's (METHODS §13).

    It is part of its method's state, so that checkpoints hold it, and of no parameter group.

    Args:
        network: usually a deep copy of the student; is frozen in place. Every parameter and buffer of it must be
            found, under the same name, in the student, which may have more.
        momentum: m in ``t ← m·t + (1 − m)·s``, in 0..1; with 0 an update copies the student exactly.
        always_eval: stay in evaluation mode when the method trains; off: the mode is the method's.

    Raises:
        UserError: a momentum outside 0..1.
    """

    def __init__(self, network: nn.Module, *, momentum: float, always_eval: bool = True):
        super().__init__()
        if not 0 <= momentum <= 1:
            raise UserError(f"the teacher's momentum must lie in 0..1, got {momentum}")
        self.network = network.requires_grad_(False)
        self.momentum, self.always_eval = momentum, always_eval
        self.train(self.training)

    @torch.no_grad()
    def forward(self, images: Tensor) -> ModelOutput:
        """(B, 3, H, W) images → what the network makes of them, without gradient."""
        return self.network(images)

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """One step towards ``student``: parameters and running statistics move, integer counters are copied.

        NOTE: published code pairs the entries of the two state dictionaries by position; names say the same.
        """
        mine, others = (dict(chain(net.named_parameters(), net.named_buffers())) for net in (self.network, student))
        moving = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in moving], [others[n] for n in moving], 1 - self.momentum)
        for name in mine.keys() - set(moving):
            mine[name].copy_(others[name])

    def train(self, mode: bool = True) -> Teacher:
        """As ``nn.Module.train``, but with ``always_eval`` evaluation mode stays."""
        return super().train(mode and not self.always_eval)
