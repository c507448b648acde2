"""Vectors of self-taught metric learning: METHODS §12 and §13."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.losses.self_taught.context import contextual_similarity
from dml.losses.self_taught.stml import SelfTaughtLoss
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


def loss(vectors, compare) -> None:
    """Every term with its gradients, every matrix behind it, and the float32 run."""
    for name in variants(vectors):
        v = {key.split("__", 1)[1]: vectors[key] for key in vectors.files if key.startswith(f"{name}__")}
        criterion = SelfTaughtLoss(
            sigma=float(v["sigma"]),
            delta=float(v["delta"]),
            num_neighbours=int(v["topk"]),
            normalize_student=bool(v["disable_mu"]),
        )
        images, t_g = torch.tensor(v["idx"]), torch.tensor(v["t_g"])
        f, g = (torch.tensor(v[f"s_{head}"], requires_grad=True) for head in "fg")
        terms = criterion(f, g, t_g, images)
        relaxed = (terms.embedding + terms.background) / 2
        for key, value in (
            ("RC_f", terms.embedding),
            ("RC_g", terms.background),
            ("KL", terms.distillation),
            ("RC", relaxed),
        ):
            compare(f"{name} loss_{key}", value, v[f"loss_{key}"])
        compare(f"{name} loss", terms.total, v["loss"])
        for key, value, leaf in (
            ("RC_f", terms.embedding, f),
            ("RC_g", terms.background, g),
            ("KL_f", terms.distillation, f),
            ("s_f", terms.total, f),
            ("s_g", terms.total, g),
        ):
            (gradient,) = torch.autograd.grad(value, leaf, retain_graph=True)
            compare(f"{name} grad_{key}", gradient, v[f"grad_{key}"], 1e-5, 1e-7)
        _compare_context(name, v, t_g, images, compare)
        single = criterion(*(torch.tensor(v[key]).float() for key in ("s_f", "s_g", "t_g")), images)
        compare(f"{name} loss_f32", single.total, v["loss_f32"], 1e-4, 1e-6)


def _compare_context(name: str, v: dict, teacher: Tensor, images: Tensor, compare) -> None:
    """Neighbours are stored as sorted sets."""
    context = contextual_similarity(teacher, images, sigma=float(v["sigma"]), num_neighbours=int(v["topk"]))
    matrices = {
        "W_P": context.pairwise,
        "V": context.reciprocal,
        "W_C_tilda": context.overlap,
        "W_C_hat": context.expanded,
        "W_C": context.contextual,
        "W": context.similarity,
        "topk_index": context.neighbours.sort().values,
        "topk_half_index": context.neighbours[:, : int(v["topk_half"])].sort().values,
    }
    for key, value in matrices.items():
        compare(f"{name} {key}", value, v[key])


CHECKS = {"12_stml": loss, "13_stml_ema": teacher}
