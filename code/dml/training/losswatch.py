"""Follows the loss without making the device wait: running mean, progress bar, and a stop when it is not finite."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor

from dml.errors import UserError
from dml.structures import StepOutput


class NonFiniteLossError(UserError):
    """The loss became infinite or NaN."""


def all_zero_text(epoch: int) -> str:
    """What is said of an epoch, counted from 1, whose losses were all 0."""
    return (
        f"every loss of epoch {epoch} was exactly 0, so it taught nothing: the loss is satisfied, or its memory still"
        " empty, or no batch holds what it learns from (most losses of pairs: two images of a class, which --IPC 2 puts"
        " into every batch)"
    )


@dataclass
class _Pending:
    step: int
    value: Tensor
    indices: Tensor
    ready: torch.cuda.Event | None

    def arrived(self) -> bool:
        return self.ready is None or self.ready.query()


class LossWatch:
    """Takes each step's loss, and looks at it once its copy has arrived on the CPU.

    On a GPU of NVIDIA that is some steps later, so the stream never stalls; ``totals`` waits for the rest.

    Args:
        totals: name → sum so far, where an epoch is continued.

    Attributes:
        latest: the last loss that arrived, for the progress bar.
        all_zero: whether every loss so far was exactly 0; of those before this process, whether their sum was.
    """

    def __init__(self, totals: Mapping[str, float] | None = None):
        self._totals = dict(totals or {})
        self._values: dict[str, list[Tensor]] = {}
        self.latest = float("nan")
        self.all_zero = not (totals or {}).get("loss")
        self._pending: deque[_Pending] = deque()

    def add(self, output: StepOutput, step: int, indices: Tensor) -> None:
        """Take the loss and the logs of step ``step``, made from the images ``indices``.

        Raises:
            NonFiniteLossError: of an earlier or this step, with its number and image indices.
        """
        loss = output.loss.detach()
        for name, value in {"loss": loss, **output.logs}.items():
            self._values.setdefault(name, []).append(value.detach().clone())
        ready = None
        if loss.is_cuda:
            ready = torch.cuda.Event()
            loss = loss.to("cpu", non_blocking=True)
            ready.record()
        self._pending.append(_Pending(step, loss, indices, ready))
        while self._pending and self._pending[0].arrived():
            self._look(self._pending.popleft())

    def totals(self) -> dict[str, float]:
        """Name → float64 sum of the loss and of each log over this epoch's steps; waits for the device."""
        self._flush()
        for name, values in self._values.items():  # one after another: a continued epoch's sum is the same to the bit
            self._totals[name] = reduce(add, torch.stack(values).tolist(), self._totals.get(name, 0.0))
        self._values = {}
        return dict(self._totals)

    def _flush(self) -> None:
        while self._pending:
            pending = self._pending.popleft()
            if pending.ready is not None:
                pending.ready.synchronize()
            self._look(pending)

    def _look(self, pending: _Pending) -> None:
        self.latest = float(pending.value)
        self.all_zero &= self.latest == 0
        if not torch.isfinite(pending.value):
            raise NonFiniteLossError(
                f"the loss of step {pending.step} is {self.latest}; its batch held the training images"
                f" {pending.indices.tolist()} (positions in the training set). last.pt, if there is one, is as it was"
                " saved last. A lower --lr or --precision 32 often helps."
            )
