"""Defaults that a network brings, beside those of the recipe and the data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dml.models.backbones import BACKBONES, traits_of
from dml.recipes import PUBLISHED_NETWORKS


def network_defaults(model: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Setting → value of a network that no recipe was published for: its own pooling, and images cut out as it was
    made to see them. Of others the latter alone, where the recipe leaves it to the crop.

    Args:
        values: what holds without, by flags or otherwise.
    """
    is_published = model in PUBLISHED_NETWORKS
    if model not in BACKBONES or (is_published and "resize" not in values):
        return {}
    traits = traits_of(model)
    found: dict[str, Any] = {} if is_published else {"pooling": traits.pooling}
    if values.get("resize") is None:
        found["resize"] = traits.input_spec.resize_for(values.get("crop_size") or traits.input_spec.crop_size)
    return found
