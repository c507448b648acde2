"""Terms beside the loss of a training with labels: a file each, which ends in its ``build``."""

from __future__ import annotations

from collections.abc import Callable

from dml.methods.base import Given
from dml.methods.terms import ema_teacher, feature_storage, self_distillation
from dml.methods.terms.base import Term
from dml.models import EmbeddingNet

Build = Callable[[Given[EmbeddingNet]], Term | None]

TERMS: tuple[Build, ...] = (feature_storage.build, self_distillation.build, ema_teacher.build)
"""Each gives its term, or None to a run whose settings ask for none; they act in this order."""


def build_terms(given: Given[EmbeddingNet]) -> tuple[Term, ...]:
    """The terms of a run."""
    return tuple(term for build in TERMS if (term := build(given)) is not None)
