"""Reading the pickles of the CIFAR archives without running anything that they say.

The official files name numpy's arrays and types only, which ``dml.numpy_pickle`` stands in for; every other name is
refused. (torchvision's loader unpickles whatever the file holds.)
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from dml.errors import UserError
from dml.numpy_pickle import STAND_INS, PickledArray


class UnsafePickleError(UserError):
    """A pickle that is damaged or holds other things than numbers, text, lists, dictionaries and byte arrays."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if f"{module}.{name}" not in STAND_INS:
            raise UnsafePickleError(f"it names {module}.{name}, which data do not need; such a file can run code")
        return STAND_INS[f"{module}.{name}"]


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
    return {_text(key): _array(value) if isinstance(value, PickledArray) else value for key, value in found.items()}


def _text(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _array(pickled: PickledArray) -> np.ndarray:
    try:
        array = pickled.array()
    except ValueError as error:
        raise UnsafePickleError(f"it holds an array that is none of bytes: {error}") from error
    if array.dtype != np.uint8:
        raise UnsafePickleError(f"it holds an array that is none of bytes, but of {array.dtype}")
    return array
