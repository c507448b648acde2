"""What a network remembers of where its first weights came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dml.data.run_split import RunRecord


@dataclass(frozen=True)
class StartedFrom:
    """What a network's first weights were taken from.

    Attributes:
        told: what was taken and what was left, in two lines for people.
        split: what the checkpoint says of the images of its run; None: nothing.
        settings: of the data of that run, name → value; None: not known.
    """

    told: str
    split: RunRecord | None = None
    settings: Mapping[str, Any] | None = None
