"""What the self-supervised baselines share: which views are compared, and the predictor on top of the student."""

from __future__ import annotations

from torch import Tensor, nn

from dml.errors import UserError


def paired_views(student: Tensor, teacher: Tensor, num_views: int) -> tuple[Tensor, Tensor]:
    """Rows (V·B, D) of either network, view by view → the same with the teacher's rows moved on by one view.

    So the student's view v of an image stands beside the teacher's view v + 1, the last one's beside the first.
    NOTE: every view takes both parts. That is BYOL's symmetrised loss; MoCo and mean shift as published compare
    one direction only, at half the cost per image.

    Raises:
        ValueError: a single view, or rows that do not fit.
    """
    if num_views < 2:
        raise UserError(f"views of an image are compared with each other: --view must be at least 2, got {num_views}")
    if len(student) != len(teacher) or len(student) % num_views:
        raise ValueError(f"{len(student)} and {len(teacher)} rows are no {num_views} views of the same images")
    return student, teacher.roll(-(len(teacher) // num_views), 0)


def predictor(embedding_size: int, width: int) -> nn.Sequential:
    """(B, D) → (B, D): linear, batch normalisation, ReLU, linear (BYOL, section 3.3)."""
    return nn.Sequential(
        nn.Linear(embedding_size, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Linear(width, embedding_size)
    )
