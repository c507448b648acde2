"""Numpy arrays in pickles, read without numpy's own reconstruction, which can build arrays of Python objects.

A pickle names functions, and loading calls them. Unpicklers that resolve numpy's names to ``STAND_INS``, and refuse
every other, run nothing: the stand-ins keep what is said of an array, which is made afterwards from checked bytes.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

_NUMBERS = re.compile("f[248]|i[1248]|u1|b1")


class PickledDType:
    """Takes the place of ``numpy.dtype``: keeps what the pickle says, and can name numbers only."""

    def __init__(self, *arguments: Any):
        self.arguments, self.state = arguments, (None, "|")

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def dtype(self) -> np.dtype:
        """The dtype. ValueError if it is none of numbers."""
        name, order = _text(self.arguments[0]), _text(self.state[1])
        if not _NUMBERS.fullmatch(name):
            raise ValueError(f"an array of dtype {name}")
        return np.dtype(name).newbyteorder(order)


class PickledArray:
    """Takes the place of ``numpy.ndarray`` and of the function that begins one: keeps what the pickle says."""

    def __init__(self, *arguments: Any):
        self.state: tuple = arguments

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        """The array, read-only, on the bytes of the pickle. ValueError: it is damaged, or holds other than numbers."""
        try:
            _, shape, kind, by_columns, content = self.state
            dtype = kind.dtype()
            if any(not isinstance(size, int) or size < 0 for size in shape):
                raise ValueError(f"its shape is {shape}")
            if math.prod(shape) * dtype.itemsize != len(content):
                raise ValueError(f"{len(content)} bytes do not fill the shape {shape} of {dtype}")
            return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")
        except (TypeError, AttributeError, LookupError, OverflowError) as error:
            raise ValueError(str(error)) from error


def _text(word: str | bytes) -> str:
    return word.decode("latin-1") if isinstance(word, bytes) else word


STAND_INS: dict[str, type] = {
    "numpy.core.multiarray._reconstruct": PickledArray,
    "numpy._core.multiarray._reconstruct": PickledArray,  # as numpy 2 calls it
    "numpy.ndarray": PickledArray,
    "numpy.dtype": PickledDType,
}
"""What pickles of arrays name → what takes its place."""
