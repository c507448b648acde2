"""No step waits for the device: it reads no value of it, makes no tensor of a size that data decide, sends no constant.

On a CPU nothing waits; what would on a GPU are these operations, counted as torch dispatches them.
"""

from __future__ import annotations

import traceback
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dml.config import OptimConfig
from dml.losses import LOSSES
from dml.methods.base import Method
from dml.structures import Batch, Progress
from dml.training.optim import clip_gradients, create_optimizer
from methods.test_steps_of_two_processes import CASES, IMAGES, LABELS, SMALL, _classification, _supervised, transfer_of

READING = {
    "aten::_local_scalar_dense",  # item(), bool(), float()
    "aten::is_nonzero",
    "aten::equal",
    "aten::nonzero",  # as many rows as there are
    "aten::masked_select",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::unique_consecutive",
    "aten::lift_fresh",  # torch.tensor(…) on the CPU, and its way to the device
}
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}

ALLOWED = {
    "losses/functional.py": "labels are checked on a CPU alone",
    "losses/transfer/crd.py": "indices are checked on a CPU alone",
    "losses/proxies/softtriple.py": "torch checks the classes of one_hot on a CPU alone",
    "losses/library.py": "the library's tuples are as many as it finds",
    "miners/": "tuples are as many as a miner finds",
    "losses/tuples/npair.py": "tuples are as many as a miner finds",
    "losses/tuples/angular.py": "tuples are as many as a miner finds",
    "losses/tuples/triplet.py": "how many columns hold pairs is looked at on a CPU alone",
    "losses/ranking/smooth_ap.py": "pairs of a class are as many as the labels have",
    "losses/transfer/darkrank.py": "pairs of a class are as many as the labels have",
    "methods/classification.py": "the share of a mixture is drawn, and read, on the CPU",
}
"""File, or folder, in code/dml → why what it reads is not to be avoided, or not of a GPU."""

OF_LOSSES = {f"loss {name}": (_supervised, ("--loss", name)) for name in LOSSES}


class Readings(TorchDispatchMode):
    """Notes what would make a step wait, and the line of ours that does it."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None) -> Any:
        name = function._schema.name
        by_mask = name in INDEXING and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in args[1]
        )
        if name in READING or by_mask:
            ours = [frame for frame in traceback.extract_stack() if "/code/dml/" in frame.filename]
            place = f"{ours[-1].filename.partition('/code/dml/')[2]}:{ours[-1].lineno}" if ours else "backward"
            self.found.append(f"{place} {name}")
        return function(*args, **(kwargs or {}))

    def not_allowed(self) -> list[str]:
        """Of those the ones that nothing excuses."""
        # What a loss of the library found forward, its gradient goes back through.
        back = any(place.startswith("losses/library.py") for place in self.found)
        excused = (*ALLOWED, "backward") if back else tuple(ALLOWED)
        return [place for place in self.found if not place.startswith(excused)]


def batch(views: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(views * IMAGES, 3, 32, 32, generator=generator)
    return Batch(images, LABELS.repeat(views), torch.arange(IMAGES).repeat(views), num_views=views)


def steps(method: Method) -> Readings:
    """What the second of two steps reads; the first makes what stays.

    The optimiser is our own: torch's count their steps on the CPU, and read that there.
    """
    stepping = create_optimizer(method.param_groups(), OptimConfig(optimizer="adamp"))
    readings = Readings()
    for number, mode in enumerate((mock.MagicMock(), readings)):
        progress, images = Progress(1, 2, step=number), batch(method.num_views, number)
        method.start_epoch(progress)
        with mode:
            output = method(images, progress)
            output.loss.backward()
            method.after_backward()
            clip_gradients(stepping, 10.0)
            stepping.step()
            stepping.zero_grad()
            method.after_optimizer_step()
    return readings


def built(case: str) -> Method:
    build, arguments = (CASES | OF_LOSSES)[case]
    torch.manual_seed(0)
    with SMALL:
        method = build(*arguments).train()
    if build in (transfer_of, _classification):  # whose batch normalisation works on the batch otherwise
        method.model.eval()
    return method


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", [*CASES, *OF_LOSSES])
def test_a_step(case):
    assert not steps(built(case)).not_allowed()


def _read(output):
    output.loss.item()
    return output


def _send(output):
    output.loss = output.loss * torch.tensor(1.0)
    return output


@pytest.mark.parametrize("look", [_read, _send])
def test_what_waits_is_seen(look):
    method = built("proxies")
    method.training_step = lambda *given: look(type(method).training_step(method, *given))
    readings = steps(method)
    assert readings.found
