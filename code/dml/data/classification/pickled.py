"""Reading the pickles of the CIFAR archives without running anything that they say.

A pickle names functions, and loading calls them. The official files name numpy's array and type constructors only:
here both names lead to plain containers that keep what is said of an array, every other name is refused, and the
array is made afterwards from checked bytes. (torchvision's loader unpickles whatever the file holds.)
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

from dml.errors import UserError


class UnsafePickleError(UserError):
    """A pickle that is damaged or holds other things than numbers, text, lists, dictionaries and byte arrays."""


class _Container:
    """Stands in for whatever numpy object is constructed; keeps its arguments and its state."""

    def __init__(self, *arguments: Any):
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),  # as numpy 2 calls it
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _ALLOWED:
            raise UnsafePickleError(f"it names {module}.{name}, which data do not need; such a file can run code")
        return _Container


def load_pickle(content: bytes) -> dict[str, Any]:
    """The dictionary in a pickle of the CIFAR archives; keys as text, arrays as uint8, other values as they are.

    Raises:
        UnsafePickleError: anything else.
    """
    try:
        found = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except UnsafePickleError:
        raise
    except Exception as error:  # a damaged pickle fails in any way whatever
        raise UnsafePickleError(f"it is damaged: {error}") from error
    if not isinstance(found, dict):
        raise UnsafePickleError(f"it holds no dictionary but {type(found).__name__}")
    return {_text(key): _array(value) if isinstance(value, _Container) else value for key, value in found.items()}


def _text(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _array(container: _Container) -> np.ndarray:
    """The array of bytes that numpy's state describes: (version, shape, type, column by column, bytes)."""
    try:
        _, shape, kind, by_columns, content = container.state
        name = kind.arguments[0]
        if name not in (b"u1", "u1") or not isinstance(content, bytes):
            raise ValueError(f"its type is {name!r}, not uint8")
        if any(not isinstance(size, int) or size < 0 for size in shape) or math.prod(shape) != len(content):
            raise ValueError(f"{len(content)} bytes do not fill the shape {shape}")
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise UnsafePickleError(f"it holds an array that is none of bytes: {error}") from error
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")
