"""Network names as the LSD repository spells them: a backbone and what is to be done with it (METHODS §24)."""

from __future__ import annotations

from typing import Any

from dml.errors import UserError
from dml.models.backbones import BACKBONES

SUFFIXES: dict[str, dict[str, Any]] = {
    "frozen": {"bn_freeze": True, "bn_affine": True},
    "normalize": {"l2_norm": True},
    "double": {"pooling": "avg_max"},
    "he": {"head_init": "kaiming"},
}
"""Ending → fields of ``ModelConfig`` that it sets.

NOTE: the published code knows ``double`` for BN-Inception alone; here it is for every backbone. ``frozen`` fixes the
running statistics, while the affine parameters go on training, as published.
"""


def parse_arch(name: str) -> dict[str, Any]:
    """``<backbone>[_frozen][_normalize][_double][_he]``, the endings in any order → values of ``ModelConfig``.

    ``resnet50_frozen_normalize`` gives model resnet50, bn_freeze, bn_affine and l2_norm. What no ending names is left
    out, so that defaults apply; a name without endings gives its backbone alone.

    Raises:
        UnknownNameError: no such backbone; the message lists those that there are.
        UserError: an ending twice.
    """
    if name in BACKBONES:
        return {"model": BACKBONES.canonical(name)}
    parts = name.split("_")
    endings: list[str] = []
    while len(parts) > 1 and parts[-1] in SUFFIXES:
        endings.append(parts.pop())
    if len(set(endings)) < len(endings):
        raise UserError(f"--arch {name}: an ending is there twice")
    values: dict[str, Any] = {"model": BACKBONES.canonical("_".join(parts))}
    for ending in endings:
        values |= SUFFIXES[ending]
    return values
