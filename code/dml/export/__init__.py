"""A trained network for other programs: ONNX, torch.export, safetensors, with what one must know to use it."""

from __future__ import annotations

from dml.export.folder import export
from dml.export.weights import load_exported

__all__ = ["export", "load_exported"]
