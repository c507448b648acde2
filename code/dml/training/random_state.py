"""The state of the global random generators, as a checkpoint holds it: of every process its own."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import torch


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every global random generator of this process, in types that ``weights_only`` loading accepts.

    Args:
        device: that the process computes on; of a GPU its own generator counts, not those of the others.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 (libraries use it)
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "device": _generator_state(device),
        "device_type": device.type,
    }


def restore_random_state(
    states: list[dict[str, Any]] | dict[str, Any], device: torch.device, *, rank: int, processes: int
) -> None:
    """The inverse of ``random_state``; what cannot be restored is a warning.

    Args:
        states: of each process that the run had; a checkpoint of an earlier version has the first one's alone, with
            the generators of all its GPUs.
        device: that this process computes on, which may have another number than when the state was taken.
        rank: of this process among ``processes``.
    """
    if isinstance(states, dict):
        number = device.index if device.type == "cuda" else None
        of_gpus = states["cuda"]
        states = [states | {"device": of_gpus[number] if number is not None and number < len(of_gpus) else None}]
        before = "cuda" if of_gpus else "cpu"
    else:
        before = states[0].get("device_type", "cpu" if states[0]["device"] is None else "cuda")
        if len(states) != processes:
            warnings.warn(
                f"the run had {len(states)} processes and goes on with {processes}: of their random generators the"
                " first one's are restored, on all; what is drawn for the global batch goes on as it would have"
            )
    state = states[rank] if len(states) == processes else states[0]
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if device.type != before:
        warnings.warn(
            f"the run was on {_called(before)} and goes on on {_called(device.type)}: what losses and miners draw there"
            " begins anew with the seed"
        )
    elif state["device"] is not None:
        _set_generator_state(state["device"], device)


def _called(kind: str) -> str:
    return "the CPU" if kind == "cpu" else "Apple's GPU" if kind == "mps" else "a GPU"


def _generator_state(device: torch.device) -> torch.Tensor | None:
    """Of the device's own generator; None: it has none beside torch's."""
    if device.type == "cpu":
        return None
    return torch.mps.get_rng_state() if device.type == "mps" else torch.cuda.get_rng_state(device)


def _set_generator_state(state: torch.Tensor, device: torch.device) -> None:
    if device.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        torch.cuda.set_rng_state(state, device)
