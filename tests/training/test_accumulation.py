"""What is checked and said of batches in pieces, and of bfloat16; two processes with pieces step as one without."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dml.cli.train import parse_train
from dml.errors import UserError
from dml.models import create_model
from dml.structures import Batch, Progress
from dml.training import layout
from dml.training.accumulation import accumulation_told, check_pieces
from dml.training.layout import bfloat16_told
from methods.test_steps_of_two_processes import CASES, IMAGES, LABELS, SMALL
from two_processes import in_two_processes, needs_gloo, share_of

CASE = "proxies"


def test_more_pieces_than_images_are_refused():
    check_pieces(8, 8)
    with pytest.raises(UserError, match=r"--accumulate 9: a process sees 8 images in a step.*at most --accumulate 8"):
        check_pieces(9, 8)


@pytest.mark.parametrize(
    ("pieces", "frozen", "said"),
    [
        (1, False, []),
        (3, True, ["in 3 pieces of 2 to 3, twice"]),
        (4, False, ["in 4 pieces of 2, twice", "batch normalisation takes its statistics over each piece"]),
    ],
)
def test_pieces_are_told(pieces, frozen, said):
    method = mock.Mock(pieces=pieces, model=create_model("resnet18", pretrained=False, bn_freeze=frozen))
    told = accumulation_told(method, 8)
    assert len(told) == len(said)
    for line, part in zip(told, said, strict=True):
        assert part in line


@pytest.mark.parametrize(
    ("name", "device", "flags", "units", "told"),
    [
        ("resnet18", "cpu", (), True, True),
        ("resnet18", "cpu", (), False, False),
        ("resnet18", "cuda", (), True, False),
        ("resnet18", "cpu", ("--precision", "bf16-mixed"), True, False),
        ("mobilenet_v2", "cpu", (), True, False),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bfloat16_is_told_where_it_gains(monkeypatch, name, device, flags, units, told):
    monkeypatch.setattr(layout, "has_bfloat16_units", lambda: units)
    config = parse_train(["--model", name, *flags]).config
    with torch.device("meta"):
        method = mock.Mock(model=create_model(name, pretrained=False, embedding_size=8))
    assert bool(bfloat16_told(config, method, torch.device(device))) is told


@pytest.mark.parametrize(
    ("names", "has"), [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False)]
)
def test_the_processors_units(monkeypatch, names, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: names, raising=False)
    assert layout.has_bfloat16_units() is has
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert layout.has_bfloat16_units() is False


def _gradients(pieces: int, rank: int | None = None) -> dict[str, Any]:
    """Of one step, alone or as process ``rank`` of two."""
    build, arguments = CASES[CASE]
    torch.manual_seed(0)
    with SMALL:
        method = build(*arguments).train()
    method.pieces, progress = pieces, Progress(1, 2)
    method.start_epoch(progress)  # first: processes exchange gradients of what trains when they are wrapped
    images = torch.randn(IMAGES, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    rows = (images, LABELS, torch.arange(IMAGES))
    step: nn.Module = method
    if rank is not None:
        step = DistributedDataParallel(method, find_unused_parameters=True)
        rows = tuple(share_of(part, rank, 1) for part in rows)
    step(Batch(*rows), progress).loss.backward()
    return {name: p.grad for name, p in method.named_parameters() if p.grad is not None}


def _in_pieces(rank: int) -> dict[str, Any]:
    return _gradients(3, rank)


@needs_gloo
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_two_processes_with_pieces_step_as_one_without():
    alone = _gradients(1)
    for process in in_two_processes(_in_pieces):
        assert process.keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(process[name], value, rtol=1e-4, atol=1e-4 * float(value.abs().max()) + 1e-6)
