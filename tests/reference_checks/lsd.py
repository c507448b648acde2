"""Listwise self-distillation: the divergence alone, and added to each of its published losses (METHODS §16)."""

from __future__ import annotations

import torch

from dml.losses.listwise import ListwiseDistillationLoss
from reference_checks.losses import variants


def divergence(vectors, compare) -> None:
    """The divergence and its gradient, with the branch that weighs other classes."""
    for variant in variants(vectors):
        value = {name: vectors[f"{variant}__{name}"] for name in ("student", "teacher", "labels", "tau", "kd_beta")}
        standard = bool(vectors[f"{variant}__standard"])
        student = torch.tensor(value["student"], requires_grad=True)
        loss = ListwiseDistillationLoss(
            temperature=float(value["tau"]), different_class_scale=1.0 if standard else float(value["kd_beta"])
        )
        result = loss(student, torch.tensor(value["teacher"]), torch.tensor(value["labels"]))
        result.backward()
        compare(f"{variant} loss_kd", result, vectors[f"{variant}__loss_kd"])
        compare(f"{variant} grad_student", student.grad, vectors[f"{variant}__grad_student"], 1e-5, 1e-7)


CHECKS = {"16_lsd_kd": divergence}
