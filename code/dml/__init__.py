"""Deep metric learning: the package that every entry point of this repository shares, and what Python may call of it.

What is below stands for itself in docs/library.md. Each name is imported at its first use, so that the package costs
nothing before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dml.version import __version__

__all__ = [
    "Embedder",
    "Index",
    "__version__",
    "create_loss",
    "create_miner",
    "create_model",
    "evaluate_embeddings",
    "load",
    "nearest_neighbours",
    "resolve",
    "train",
]

if TYPE_CHECKING:
    from dml.api.building import create_loss, create_miner
    from dml.api.embedder import Embedder, load
    from dml.api.index import Index
    from dml.api.running import resolve, train
    from dml.evaluation.evaluator import evaluate_embeddings
    from dml.models.create import create_model
    from dml.neighbours import nearest_neighbours

_HOMES = {
    "Embedder": "dml.api.embedder",
    "Index": "dml.api.index",
    "create_loss": "dml.api.building",
    "create_miner": "dml.api.building",
    "create_model": "dml.models.create",
    "evaluate_embeddings": "dml.evaluation.evaluator",
    "load": "dml.api.embedder",
    "nearest_neighbours": "dml.neighbours",
    "resolve": "dml.api.running",
    "train": "dml.api.running",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
