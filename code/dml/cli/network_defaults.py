"""Defaults that a network brings, beside those of the recipe and the data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dml.models.backbones import BACKBONES, traits_of
from dml.recipes import PUBLISHED_NETWORKS


def network_defaults(model: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Setting → value of a network that no recipe was published for: its own pooling, and images cut out as it was
    made to see them. Nothing of others.

    Args:
        values: what holds without, by flags or otherwise.
    """
    if model in PUBLISHED_NETWORKS or model not in BACKBONES:
        return {}
    traits = traits_of(model)
    found: dict[str, Any] = {"pooling": traits.pooling}
    if values.get("resize") is None:
        found["resize"] = traits.input_spec.resize_for(values.get("crop_size") or traits.input_spec.crop_size)
    return found
