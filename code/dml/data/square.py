"""The square that is cut out of a scaled image; apart from the transforms, whose torchvision takes long to import."""

from __future__ import annotations

from dml.errors import UserError


def check_square(crop_size: int, resize: int) -> None:
    """UserError for a square larger than the scaled image that it is cut out of."""
    if crop_size > resize:
        raise UserError(
            f"crop size {crop_size} exceeds resize {resize}: give --resize {crop_size} or more, "
            f"or --crop-size {resize} or less"
        )
