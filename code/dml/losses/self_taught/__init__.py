"""Losses that need no labels, by the name of the training method: what a student learns from its teacher.

``stml`` is called as ``loss(embedding, background, teacher, images) -> SelfTaughtTerms``, the others as
``loss(student, teacher, *, num_views) -> scalar``. A new one is one file beside this one, one line of
``SELF_TAUGHT_LOSSES``, one test.
"""

from __future__ import annotations

from dml.losses.self_taught.spec import SelfTaughtSpec
from dml.registry import Registry

SELF_TAUGHT_LOSSES: Registry[SelfTaughtSpec] = Registry.collected(
    "method",
    __name__,
    (
        "stml",
        "moco",
        "byol",
        "mean_shift",
    ),
)
