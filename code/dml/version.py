"""The version of the package; its metadata and a run's record say the same."""

from __future__ import annotations

__version__ = "0.1.0"
