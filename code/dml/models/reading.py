"""Reading files of weights that may come from anywhere: never unpickled as code, every refusal explained."""

from __future__ import annotations

import pickle
import shlex
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dml.errors import UserError

# What torch.save writes: a zip archive, or (before torch 1.6) several pickles, the first of a number.
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_TORCH_NUMBER = torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")
# Where published files keep their state dict, if not at the top.
_STATE_KEYS = ("model_state_dict", "state_dict")


class CheckpointError(UserError):
    """A file of weights that is missing, unreadable, unsafe or made for another network."""


def read_torch_file(path: Path) -> dict[str, Any]:
    """The dictionary in a file of ``torch.save``, tensors on the CPU, read with ``weights_only=True``.

    Raises:
        CheckpointError: no such file; not a torch file (a web page, say); damaged; holding objects other than
            tensors and plain values; not a dictionary.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Expected a checkpoint or state dict written by torch.save")
    with path.open("rb") as file:
        start = file.read(64)
    if not start.startswith(_ZIP) and not (start.startswith(_PICKLE) and _TORCH_NUMBER in start):
        raise CheckpointError(f"{path}: {_explain_start(start, path)}")
    try:
        if start.startswith(_ZIP):
            _check_sums(path)  # which torch.load does not do: a flipped byte would pass as a weight
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, because it holds objects other than tensors and plain values, or is damaged;"
            " such a file can run code when loaded. Expected a state dict of tensors."
            f" torch says: {_first_line(error)}"
        ) from error
    except Exception as error:  # of a damaged file torch says whatever comes
        raise CheckpointError(
            f"{path}: damaged or incomplete: {_first_line(error)}; if it was downloaded, fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, found {type(content).__name__}")
    return content


def _check_sums(path: Path) -> None:
    """BadZipFile unless every part of the archive has the checksum that it was written with. Reads the file once."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")


def state_dict_of(content: dict[str, Any], source: str) -> dict[str, Tensor]:
    """The state dict of a published file: unwrapped, and without the ``module.`` of DataParallel.

    Raises:
        CheckpointError: something in it is not a named tensor.
    """
    wrapped = (content[key] for key in _STATE_KEYS if isinstance(content.get(key), dict))
    state = named_tensors(next(wrapped, content), source)
    if all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return state


def named_tensors(state: object, source: str) -> dict[str, Tensor]:
    """``state`` itself, if it is a dictionary of named tensors that is not empty.

    Raises:
        CheckpointError: it is not.
    """
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f"{source}: expected a state dict (name → tensor), found {state!r:.40}")
    strangers = [str(k) for k, v in state.items() if not (isinstance(k, str) and isinstance(v, Tensor))]
    if strangers:
        raise CheckpointError(
            f"{source}: expected a state dict (name → tensor), alone or under {' or '.join(_STATE_KEYS)};"
            f" found {name_some(strangers)}"
        )
    return state


def load_checked(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load all of ``state`` into all of ``module``.

    Parameters stored as (1, C) are squeezed to (C,), as in BN-Inception's published file; the batch counters of
    batch normalisation may be missing, as in files older than torch 0.4.1.

    Raises:
        CheckpointError: missing, left-over or wrongly shaped tensors, by name; the module is left as it was.
    """
    target = module.state_dict()
    state = {
        key: value.squeeze(0) if key in target and value.shape == (1, *target[key].shape) else value
        for key, value in state.items()
    }
    missing = [key for key in target if key not in state and not is_counter(key)]
    foreign = [key for key in state if key not in target]
    if missing or foreign:
        problems = [f"it lacks {name_some(missing)}"] if missing else []
        problems += [f"it holds {name_some(foreign)}, which the network does not have"] if foreign else []
        raise CheckpointError(f"{source}: these weights are of another network: {'; '.join(problems)}")
    misshapen = [
        f"{key} {tuple(value.shape)} instead of {tuple(target[key].shape)}"
        for key, value in state.items()
        if value.shape != target[key].shape
    ]
    if misshapen:
        raise CheckpointError(f"{source}: wrong shapes: {name_some(misshapen)}")
    module.load_state_dict(state, strict=False)


def is_counter(name: str) -> bool:
    """Whether it is a batch counter of batch normalisation, which files older than torch 0.4.1 lack."""
    return name.endswith("num_batches_tracked")


def name_some(names: list[str], limit: int = 3) -> str:
    """The first few of ``names``, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _explain_start(start: bytes, path: Path) -> str:
    """Why a file that begins with ``start`` is not read."""
    if start.startswith(_PICKLE):
        return (
            "refused, because it is a bare pickle, not a file of torch.save; such a file can run code when loaded."
            " If it holds a dictionary of numpy arrays and you trust where it comes from, convert it once, by"
            f" {_conversion_command(path)}, and pass --weights {path}.npz"
        )
    kind = "a web page" if start.lstrip().startswith(b"<") else f"something else, beginning with {start[:16]!r}"
    return f"expected a file written by torch.save, found {kind}. Fetch it again"


def _conversion_command(path: Path) -> str:
    """The shell command that writes the pickled dictionary of numpy arrays ``path`` to ``path``.npz."""
    code = (
        "import numpy, pickle, sys; numpy.savez(sys.argv[2], **pickle.load(open(sys.argv[1], 'rb'), encoding='latin1'))"
    )
    return f'python -c "{code}" {shlex.quote(str(path))} {shlex.quote(f"{path}.npz")}'


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
