"""Listwise self-distillation: the divergence alone, and added to each of its published losses (METHODS §16)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dml.losses import LOSSES
from dml.losses.ranking.listwise import ListwiseDistillationLoss
from dml.methods.terms.base import Seen
from dml.methods.terms.self_distillation import SelfDistillation
from dml.structures import Batch, ModelOutput, Progress
from reference_checks.criteria import compare_parameters, rank_loss, variant_of
from reference_checks.losses import variants

DISTILLED = ("ap_loss", "contrastive", "margin", "multisimilarity", "proxynca", "softmax", "triplet")


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


class Given(nn.Module):
    """Stands for a teacher that gives these embeddings."""

    def __init__(self, embeddings: Tensor):
        super().__init__()
        self.register_buffer("embeddings", embeddings)

    def forward(self, images: Tensor) -> ModelOutput:
        return ModelOutput(embedding=self.embeddings, features=self.embeddings)


def distilled(spelling: str) -> Callable:
    """Loss, its parts and gradients of a criterion with the term that ``SelfDistillation`` adds."""

    def check(vectors, compare) -> None:
        for prefix in variants(vectors):
            variant = variant_of(vectors, prefix)
            student, labels = variant["student"].requires_grad_(), variant["labels"]
            ranking, criterion = rank_loss(spelling, variant, student)
            distillation = SelfDistillation(
                Given(variant["teacher"]),
                alpha=variant["alpha"],
                temperature=variant["tau"],
                student_scale=LOSSES[spelling].distilled_length,
            )
            batch = Batch(torch.zeros(len(labels), 1), labels, torch.arange(len(labels)))
            progress = Progress(variant["epoch"], variant["n_epochs"])
            term = distillation.loss(Seen(batch, student, labels, distillation.teacher.network, progress))
            loss = ranking if term is None else ranking + term
            loss.backward()
            divergence = distillation.divergence(distillation.scaled(student), variant["teacher"], labels)
            compare(f"{prefix} loss_rank", ranking, variant["loss_rank"])
            compare(f"{prefix} loss_kd", divergence, variant["loss_kd"])
            compare(f"{prefix} loss", loss, variant["loss"])
            compare(f"{prefix} grad_student", student.grad, variant["grad_student"], 1e-5, 1e-7)
            compare_parameters(compare, prefix, variant, criterion)

    return check


CHECKS = {"16_lsd_kd": divergence} | {f"16_lsd_{spelling}": distilled(spelling) for spelling in DISTILLED}
