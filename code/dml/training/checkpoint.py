"""Where a run stands, what of it is written to its folder so that it can be continued, and how that is read again."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dml.errors import UserError
from dml.methods.base import Method
from dml.models.convert import CHECKPOINT_FORMAT
from dml.models.reading import read_torch_file
from dml.training.moved_images import numbered_anew
from dml.training.optim import Schedule
from dml.training.peers import Peers
from dml.writing import save_atomically

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Metrics = dict[str, float]


@dataclass
class TrainingState:
    """Where a run stands; part of its checkpoint.

    Attributes:
        epoch: complete epochs.
        step: optimiser steps taken.
        plan: (num_batches, B) the batches of the epoch under way; None between epochs.
        batches_done: of that plan.
        totals: name → sum over those of the loss and of what else the method logs.
        best_epoch: the epoch that the selection metric likes best; None before any evaluation of a trained network.
        best: its metrics, prefix → name → value.
        latest: those of the last evaluation.
        latest_epoch: the epoch that it was made after.
        untrained: those of ``--eval-first``, and of runs with baselines.
        baselines: title → metrics of the test split, of what needs no training.
        highest: metric → its best value, for the metrics besides the selecting one whose best epochs are kept.
    """

    epoch: int = 0
    step: int = 0
    plan: np.ndarray | None = None
    batches_done: int = 0
    totals: Metrics = field(default_factory=dict)
    best_epoch: int | None = None
    best: dict[str, Metrics] = field(default_factory=dict)
    latest: dict[str, Metrics] = field(default_factory=dict)
    latest_epoch: int = 0
    untrained: dict[str, Metrics] = field(default_factory=dict)
    baselines: dict[str, Metrics] = field(default_factory=dict)
    highest: Metrics = field(default_factory=dict)


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every global random generator of this process, in types that ``weights_only`` loading accepts.

    Args:
        device: that the process computes on; of a GPU its own generator counts, not those of the others.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 (libraries use it)
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
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


AVERAGE = "average.network."
"""Before the names of the moving average of a network's weights, which is what "model" holds where there is one; the
weights themselves are under "trained" then."""


class Checkpoints:
    """The checkpoints of a run.

    Args:
        fabric: its scaler's state belongs to them; the first process writes.
        peers: the processes of the run, whose random states belong to them.
        method, optimizer, schedule: what they hold.
        folder: where they are.
        description: put into each one: architecture, configuration, class names and what is said of the split, as plain
            types.
    """

    def __init__(
        self,
        fabric: Fabric,
        peers: Peers,
        method: Method,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        folder: Path,
        description: dict[str, Any],
    ):
        self.fabric, self.peers = fabric, peers
        self.method, self.optimizer, self.schedule = method, optimizer, schedule
        self.folder, self.description = folder, description
        self._random: list[dict[str, Any]] = []
        self._noted: tuple | None = None

    def note_random_state(self, state: TrainingState) -> None:
        """Take the random states for a ``save`` at ``state``, before something that may have to be begun again.

        Called on all processes together, whereas the first one saves alone.
        """
        self._random, self._noted = self.peers.gather(random_state(self.fabric.device)), _place(state)

    def has_noted(self, state: TrainingState) -> bool:
        """Whether random states were taken where ``state`` stands."""
        return self._noted == _place(state)

    def save(self, state: TrainingState, *, best: Sequence[str], record_size: int) -> None:
        """Write the files ``best``, which hold the network alone, and then last.pt, if this is the first process.

        Args:
            record_size: bytes of metrics.jsonl that belong to ``state``.
        """
        if not self.fabric.is_global_zero:
            return
        whole = self.method.state_dict()
        judged = "model." if self.method.average is None else AVERAGE
        rest = {key: value for key, value in whole.items() if not key.startswith(("model.", AVERAGE))}
        network = {
            "format": CHECKPOINT_FORMAT,
            "epoch": state.epoch,
            "model": _under(judged, whole),
            "method": {key: value for key, value in rest.items() if not key.startswith(self.method.training_only)},
            "metrics": state.latest,
            **self.description,
        }
        for name in best:
            save_atomically(network, self.folder / name)
        going_on = {
            "method": rest,
            "state": vars(state) | {"plan": None if state.plan is None else torch.from_numpy(state.plan)},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.fabric.strategy.precision.state_dict(),
            "random": self._random,
            "record_size": record_size,
        }
        if self.method.average is not None:
            going_on["trained"] = _under("model.", whole)
        save_atomically(network | going_on, self.folder / "last.pt")

    def load(self, path: Path) -> tuple[TrainingState, int]:
        """Put everything back as it was when ``path`` was written; the state, and the size of the record then.

        Raises:
            UserError: not a checkpoint of this run.
        """
        split = self.description.get("split") or {}
        saved = numbered_anew(read_checkpoint(path), self.method, self.folder, split.get("digest"))
        model = {f"model.{key}": value for key, value in saved.get("trained", saved["model"]).items()}
        if "trained" in saved:
            model |= {f"{AVERAGE}{key}": value for key, value in saved["model"].items()}
        try:
            self.method.load_state_dict(model | saved["method"])
            self.optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{path} does not fit the run's data and settings as they are now: {error}") from error
        self.schedule.load_state_dict(saved["schedule"])
        self.fabric.strategy.precision.load_state_dict(saved["scaler"])
        restore_random_state(
            saved["random"], self.fabric.device, rank=self.fabric.global_rank, processes=self.peers.number
        )
        plan = saved["state"]["plan"]
        return TrainingState(**saved["state"] | {"plan": None if plan is None else plan.numpy()}), saved["record_size"]


def _under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with ``prefix``, by the rest of it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What ``Checkpoints.save`` wrote to last.pt. UserError for any other file."""
    saved = read_torch_file(path)
    if saved.get("format") != CHECKPOINT_FORMAT or "state" not in saved:
        raise UserError(f"{path} is not a checkpoint that a run can be continued from")
    return saved


def _place(state: TrainingState) -> tuple:
    """Tells one moment of a run, at which it can be saved, from another."""
    return state.epoch, state.plan is not None, state.batches_done
