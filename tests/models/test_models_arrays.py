"""Weights as numpy arrays: every safe form loads, nothing else is unpickled."""

from __future__ import annotations

import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from damage import damaged
from dml.models import create_model
from dml.models.arrays import read_weights_file
from dml.models.reading import CheckpointError
from reference_checks.networks import published_shapes

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "double": np.array([1.5, -2.5]),
    "swapped": np.array([1.0, 2.0], dtype=">f4"),
    "half": np.array([0.5], dtype=np.float16),
    "counter": np.array(7),
    "mask": np.array([True, False]),
}


def saved(content: object, folder: Path, **options: object) -> Path:
    torch.save(content, folder / "weights.pth", **options)
    return folder / "weights.pth"


def as_numpy_1_wrote_it(path: Path) -> Path:
    """Names in the pickle as before numpy 2."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return path


@pytest.mark.parametrize("form", ["zip", "legacy", "numpy 1", "npz", "wrapped"])
def test_arrays_of_every_kind(form, tmp_path):
    if form == "npz":
        np.savez(tmp_path / "weights.npz", **{name: a for name, a in ARRAYS.items() if name != "swapped"})
        state = read_weights_file(tmp_path / "weights.npz")
    elif form in ("legacy", "numpy 1"):
        path = saved(ARRAYS, tmp_path, _use_new_zipfile_serialization=False)
        state = read_weights_file(as_numpy_1_wrote_it(path) if form == "numpy 1" else path)
    elif form == "wrapped":
        state = read_weights_file(saved({"state_dict": {f"module.{k}": a for k, a in ARRAYS.items()}}, tmp_path))
    else:
        state = read_weights_file(saved(ARRAYS, tmp_path))
    assert set(state) >= set(ARRAYS) - {"swapped"}
    for name, tensor in state.items():
        np.testing.assert_array_equal(tensor.numpy(), ARRAYS[name])
        assert tensor.dtype == torch.from_numpy(ARRAYS[name].astype(ARRAYS[name].dtype.newbyteorder("="))).dtype


def test_tensors_and_arrays_may_stand_together(tmp_path):
    state = read_weights_file(saved({"a": np.ones(2), "b": torch.zeros(3)}, tmp_path))
    assert {name: tensor.tolist() for name, tensor in state.items()} == {"a": [1.0, 1.0], "b": [0.0, 0.0, 0.0]}


def test_the_published_inception_file_loads(tmp_path):
    """Arrays under names without ``model.features.`` and without the letter of the branch."""
    generator = np.random.default_rng(0)
    arrays = {}
    for key, shape in published_shapes()["stml/googlenet"].items():
        if "embedding" not in key:
            block, *rest = key.removeprefix("model.features.").split(".")
            name = ".".join([block, *(rest[1:] if block.startswith("inception") else rest)])
            arrays[name] = generator.standard_normal(shape).astype(np.float32)
    assert {"conv2.3x3_reduce.bias", "inception_3a.1x1.weight", "inception_5b.pool_proj.weight"} <= set(arrays)
    ours = create_model("inception_v1", weights=saved(arrays, tmp_path)).backbone.state_dict()
    assert len(ours) == len(arrays)
    np.testing.assert_array_equal(ours["inception.4c.5x5.1.conv.weight"], arrays["inception_4c.5x5.weight"])
    np.testing.assert_array_equal(ours["inception.5b.pool.1.conv.bias"], arrays["inception_5b.pool_proj.bias"])
    np.testing.assert_array_equal(ours["conv2_reduce.conv.bias"], arrays["conv2.3x3_reduce.bias"])


class Malicious:
    """Makes a folder when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["torch", "inside an array", "npz", "pickle"])
def test_code_is_refused_and_never_run(form, tmp_path):
    path, evil = tmp_path / "weights.pth", Malicious(tmp_path / "marker")
    if form == "torch":
        torch.save({"conv1": np.ones(2), "x": evil}, path)
    elif form == "inside an array":
        torch.save({"conv1": np.array([evil], dtype=object)}, path)
    elif form == "npz":
        with path.open("wb") as file:
            np.savez(file, conv1=np.array([evil], dtype=object))
    else:
        path.write_bytes(pickle.dumps({"conv1": np.ones(2), "x": evil}))
    with pytest.raises(CheckpointError, match=r"weights\.pth: (refused|its arrays)"):
        read_weights_file(path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "array",
    [np.array([{"a": 1}], dtype=object), np.array(["text"]), np.zeros(1, dtype="f4,f4"), np.zeros(1, dtype="M8[s]")],
    ids=["objects", "text", "records", "dates"],
)
def test_arrays_of_other_things_are_refused(array, tmp_path):
    with pytest.raises(CheckpointError, match=r"weights\.pth: its numpy arrays are damaged, or hold other things"):
        read_weights_file(saved({"conv1": array}, tmp_path))


def test_a_truncated_array_is_refused(tmp_path):
    path = saved({"conv1": np.full(8, 3.0, dtype=np.float32)}, tmp_path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"K\x08\x85", b"K\x09\x85"))  # its shape: 9 instead of 8
    with pytest.raises(CheckpointError, match="damaged"):
        read_weights_file(path)


def test_a_damaged_npz_is_refused(tmp_path):
    np.savez(tmp_path / "whole.npz", a=np.ones(100))
    content = bytearray((tmp_path / "whole.npz").read_bytes())
    content[200:300] = b"\x00" * 100
    (tmp_path / "torn.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"torn\.npz: its arrays are damaged"):
        read_weights_file(tmp_path / "torn.npz")


def test_the_offered_command_converts_a_bare_pickle(tmp_path):
    path = tmp_path / "in ception.pkl"
    path.write_bytes(pickle.dumps({"conv1": np.ones(2, dtype=np.float32)}, protocol=2))
    with pytest.raises(CheckpointError, match=r"--weights .*in ception\.pkl\.npz") as caught:
        read_weights_file(path)
    command = shlex.split(str(caught.value).split("convert it once, by ")[1].split(", and pass")[0])
    subprocess.run([sys.executable, *command[1:]], check=True)
    assert read_weights_file(tmp_path / "in ception.pkl.npz")["conv1"].tolist() == [1.0, 1.0]


def test_the_list_of_safe_names_is_as_before(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    read_weights_file(saved({"a": np.ones(1)}, tmp_path))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("form", ["zip", "pickles", "arrays", "npz"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_whatever_is_damaged_is_one_error(form, tmp_path):
    state, path = {"a.weight": torch.rand(4, 5), "b": torch.arange(3)}, tmp_path / "file"
    arrays = {name: value.numpy() for name, value in state.items()}
    if form == "npz":
        with path.open("wb") as file:
            np.savez(file, **arrays)
    else:
        torch.save(
            arrays if form == "arrays" else state, path, _use_new_zipfile_serialization=form in ("zip", "arrays")
        )
    refused = 0
    for content in damaged(path.read_bytes(), 300):
        path.write_bytes(content)
        try:
            read_weights_file(path)
        except CheckpointError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 150
