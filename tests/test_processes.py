"""Two processes that exchange their rows compute what one process with all of them does."""

from __future__ import annotations

import torch

from dml.models.batch_norm import GlobalBatchNorm1d
from dml.processes import exchange_rows, gather_rows, global_mean, rank, world_size
from two_processes import in_two_processes, needs_gloo, share_of


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _exchanges(number: int, rows: torch.Tensor, orders: torch.Tensor) -> dict:
    """Everything that two processes exchange, for the tests below to look at."""
    mine = share_of(rows, number, num_views=2).clone().requires_grad_()
    everything = gather_rows(mine, num_views=2)
    (everything * torch.arange(8.0)[:, None]).square().sum().backward()
    value = torch.tensor(float(number), requires_grad=True)
    mean = global_mean(value)
    (3 * mean).backward()
    norm = GlobalBatchNorm1d(3)
    inputs = share_of(rows, number).clone().requires_grad_()
    outputs = norm(inputs)
    (gather_rows(outputs) * rows.flip(0)).square().sum().backward()
    return {
        "rank": rank(),
        "gathered": everything.detach(),
        "gradient": mine.grad / world_size(),  # data-parallel training takes that mean of parameters
        "mean": (mean.item(), value.grad.item() / world_size()),
        "exchanged": [exchange_rows(share_of(rows, number, num_views=2), order, num_views=2) for order in orders],
        "labels": exchange_rows(share_of(torch.arange(8), number), orders[0]),
        "normalised": outputs.detach(),
        "norm": norm.state_dict() | {"grad": norm.weight.grad / world_size(), "inputs": inputs.grad / world_size()},
        "judged": norm.eval()(inputs).detach(),
    }


@needs_gloo
def test_what_two_processes_exchange():
    rows = drawn(8, 3)  # 2 views of 4 images
    orders = torch.stack([torch.randperm(8), torch.arange(8), torch.tensor([5, 5, 5, 5, 0, 0, 1, 5])])
    found = in_two_processes(_exchanges, rows, orders)
    whole = rows.clone().requires_grad_()
    (whole * torch.arange(8.0)[:, None]).square().sum().backward()
    norm, inputs = torch.nn.BatchNorm1d(3), rows.clone().requires_grad_()
    outputs = norm(inputs)
    (outputs * rows.flip(0)).square().sum().backward()
    for number, process in enumerate(found):
        assert process["rank"] == number
        torch.testing.assert_close(process["gathered"], rows)
        torch.testing.assert_close(process["gradient"], share_of(whole.grad, number, num_views=2))
        assert process["mean"] == (0.5, 1.5)
        for order, exchanged in zip(orders, process["exchanged"], strict=True):
            torch.testing.assert_close(exchanged, share_of(rows[order], number, num_views=2), rtol=0, atol=0)
        assert process["labels"].tolist() == share_of(orders[0], number).tolist()
        torch.testing.assert_close(process["normalised"], share_of(outputs, number).detach())
        expected = norm.train().state_dict() | {"inputs": share_of(inputs.grad, number)}
        torch.testing.assert_close({name: process["norm"][name] for name in expected}, expected)
    # What data-parallel training makes of the processes' gradients: their mean.
    torch.testing.assert_close(sum(process["norm"]["grad"] for process in found), norm.weight.grad)
    norm.eval()
    torch.testing.assert_close(found[0]["judged"], norm(share_of(rows, 0)).detach())


def test_one_process_keeps_its_rows():
    rows, order = drawn(4, 2), torch.tensor([2, 0, 3, 3])
    assert gather_rows(rows, num_views=2) is rows
    assert torch.equal(exchange_rows(rows, order), rows[order])
    assert (rank(), world_size(), global_mean(torch.tensor(2.0)).item()) == (0, 1, 2.0)
    torch.testing.assert_close(GlobalBatchNorm1d(2)(rows), torch.nn.BatchNorm1d(2)(rows))
