"""Which images a run is of, as far as its record says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dml.config import default_data_name

NAME, DIGEST = "data.data_name", "data.digest"
DATA = (NAME, DIGEST)
_SHOWN = 12  # digits of a digest


def with_data(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings, dotted name → value, with the name of its data and the beginning of their digest.

    Of an older run, whose images are not on record, a user's own count as the same in one place alone; a named data
    set counts as the same wherever it was.
    """
    dataset, place = config.get("data.dataset"), config.get("data.data_dir")
    if dataset is None:
        return dict(config)
    unknown = f"unknown, in {place}" if dataset == "folder" else None
    digest = config.get(DIGEST)
    return {
        **config,
        NAME: config.get(NAME) or default_data_name(dataset, place or ""),
        DIGEST: digest[:_SHOWN] if digest else unknown,
    }
