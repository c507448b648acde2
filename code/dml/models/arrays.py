"""Weights kept as numpy arrays, in a file of ``torch.save`` or an ``.npz``: read without unpickling objects."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dml.models.reading import CheckpointError, read_torch_file, state_dict_of
from dml.numpy_pickle import STAND_INS, PickledArray

# What numpy and zipfile say of a damaged file.
_DAMAGED = (OSError, ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error)


def read_weights_file(path: Path) -> dict[str, Tensor]:
    """The named tensors of a file of weights: a state dict, wrapped as published files wrap theirs, of tensors or
    numpy arrays (as STML's Inception-v1), written by ``torch.save``; an ``.npz`` of arrays; or ``.safetensors``.

    Raises:
        CheckpointError: as :func:`read_torch_file` and :func:`state_dict_of`; arrays of other things than numbers.
    """
    if path.suffix == ".safetensors":
        return state_dict_of(_read_safetensors(path), str(path))
    if _is_npz(path):
        return state_dict_of(_read_npz(path), str(path))
    with torch.serialization.safe_globals([(stand_in, name) for name, stand_in in STAND_INS.items()]):
        content = read_torch_file(path)
    if isinstance(content.get("format"), str):
        raise CheckpointError(
            f"{path}: a checkpoint of this project, no file of ImageNet weights: --init-from {path} starts from it"
        )
    try:
        content = _as_tensors(content)
    except ValueError as error:
        raise CheckpointError(
            f"{path}: its numpy arrays are damaged, or hold other things than numbers: {error}"
        ) from error
    return state_dict_of(content, str(path))


def _as_tensors(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _as_tensors(value) for key, value in content.items()}
    if isinstance(content, PickledArray):
        array = content.array()
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
    return content


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file  # here: timm brings it
    except ModuleNotFoundError as error:
        raise CheckpointError(f"{path}: reading it needs the package safetensors: pip install safetensors") from error
    try:
        return load_file(path)
    except Exception as error:  # of damaged files it says whatever comes
        raise CheckpointError(f"{path}: missing or damaged: {error}") from error


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except _DAMAGED:
        return False


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except _DAMAGED as error:
        raise CheckpointError(f"{path}: its arrays are damaged, or hold other things than numbers: {error}") from error
