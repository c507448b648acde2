"""Two processes that gather their rows compute the gradient of one process with all of them."""

from __future__ import annotations

import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from dml.methods.gather import gather_rows, world_size


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _pull(rank: int, port: int, rows: torch.Tensor, results: dict) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    mine = rows.unflatten(0, (2, 4))[:, rank * 2 : rank * 2 + 2].flatten(0, 1).clone().requires_grad_()
    everything = gather_rows(mine, num_views=2)
    loss = (everything * torch.arange(8.0)[:, None]).square().sum()
    loss.backward()
    results[rank] = (everything.detach(), mine.grad / world_size())  # data-parallel training takes that mean
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="torch without distributed")
def test_rows_come_view_by_view_and_gradients_add_up():
    rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))  # 2 views of 4 images
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(_pull, args=(_free_port(), rows, results), nprocs=2)
        gathered = dict(results)
    expected = rows.clone().requires_grad_()
    (expected * torch.arange(8.0)[:, None]).square().sum().backward()
    grad = expected.grad.unflatten(0, (2, 4))
    for rank, (everything, local) in gathered.items():
        torch.testing.assert_close(everything, rows)
        torch.testing.assert_close(local, grad[:, rank * 2 : rank * 2 + 2].flatten(0, 1))


def test_one_process_keeps_its_rows():
    rows = torch.randn(4, 2)
    assert gather_rows(rows, num_views=2) is rows
