"""What stands in for numpy in a pickle makes arrays of numbers from bytes that fill them, and nothing else."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

from dml.numpy_pickle import STAND_INS, PickledArray, PickledDType


class Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        return STAND_INS[f"{module}.{name}"]


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("dtype", ["u1", "?", "<i8", ">f4", "f2"])
def test_arrays_of_numbers(protocol, dtype):
    array = np.arange(6).reshape(2, 3).T.astype(dtype, order="F")
    content = pickle.dumps(array, protocol=protocol)
    found = Unpickler(io.BytesIO(content), encoding="bytes").load().array()
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert not found.flags.writeable


@pytest.mark.parametrize(
    ("shape", "kind", "content"),
    [
        ((3,), "u1", b"12"),
        ((-1,), "u1", b"12"),
        ((2.0,), "u1", b"12"),
        (2, "u1", b"12"),
        ((2,), "u1", [1, 2]),
        ((2,), "u1", "12"),
        ((2,), "O8", b"1234567812345678"),
        ((2,), None, b"12"),
        ((1 << 70, 0), "u1", b""),
    ],
)
def test_anything_else_is_a_value_error(shape, kind, content):
    array = PickledArray()
    array.__setstate__((1, shape, PickledDType(kind) if kind else kind, False, content))
    with pytest.raises(ValueError):
        array.array()


def test_an_array_that_was_begun_and_never_filled():
    with pytest.raises(ValueError):
        PickledArray("ndarray", (0,), b"b").array()
