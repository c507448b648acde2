"""Vectors of self-taught metric learning: METHODS §13."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.models.teacher import Teacher
from reference_checks.losses import variants


class _Network(nn.Module):
    """A network that is nothing but its state; running statistics and counters are buffers."""

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        for name, value in state.items():
            if "running" in name or not value.is_floating_point():
                self.register_buffer(name, value)
            else:
                self.register_parameter(name, nn.Parameter(value))


def _state(vectors, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): torch.tensor(vectors[key]) for key in vectors.files if key.startswith(prefix)}


def teacher(vectors, compare) -> None:
    """The teacher's whole state after each of several updates; the student has a head more."""
    for name in variants(vectors):
        network = _Network(_state(vectors, f"{name}__teacher_init__"))
        teacher = Teacher(network, momentum=float(vectors[f"{name}__momentum"]))
        step = 0
        while student := _state(vectors, f"{name}__t{step}_student__"):
            teacher.update(_Network(student))
            for key, expected in _state(vectors, f"{name}__t{step}_teacher_after__").items():
                compare(f"{name} t{step} {key}", network.state_dict()[key], expected)
            step += 1


CHECKS = {"13_stml_ema": teacher}
