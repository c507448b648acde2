"""Follows the loss without making the device wait: running mean, progress bar, and a stop when it is not finite."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor


class NonFiniteLossError(ValueError):
    """The loss became infinite or NaN."""


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

    On a GPU that is some steps later, so the stream never stalls; ``flush`` waits for the rest.

    Attributes:
        total: float64 sum of the losses of this epoch, on the device.
        latest: the last loss that arrived, for the progress bar.
    """

    def __init__(self, device: torch.device, total: float = 0.0):
        self.total = torch.tensor(total, dtype=torch.float64, device=device)
        self.latest = float("nan")
        self._pending: deque[_Pending] = deque()

    def add(self, loss: Tensor, step: int, indices: Tensor) -> None:
        """Take the detached scalar ``loss`` of step ``step``, made from the images ``indices``.

        Raises:
            NonFiniteLossError: of an earlier or this step, with its number and image indices.
        """
        self.total += loss.double()
        ready = None
        if loss.is_cuda:
            ready = torch.cuda.Event()
            loss = loss.to("cpu", non_blocking=True)
            ready.record()
        self._pending.append(_Pending(step, loss, indices, ready))
        while self._pending and self._pending[0].arrived():
            self._look(self._pending.popleft())

    def flush(self) -> None:
        """Wait for and look at what is still on its way."""
        while self._pending:
            pending = self._pending.popleft()
            if pending.ready is not None:
                pending.ready.synchronize()
            self._look(pending)

    def _look(self, pending: _Pending) -> None:
        self.latest = float(pending.value)
        if not torch.isfinite(pending.value):
            raise NonFiniteLossError(
                f"the loss of step {pending.step} is {self.latest}; its batch held the training images"
                f" {pending.indices.tolist()} (positions in the training set; last.pt holds the last complete"
                " epoch). A lower --lr or --precision 32 often helps."
            )
