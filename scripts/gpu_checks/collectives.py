"""What processes exchange while they train, in a group of one: python scripts/gpu_checks/collectives.py nccl|gloo

Gathered rows and their gradients are those of the process itself, and a data-parallel step is the plain one.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "code"))

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dml.processes import _AllGather


def main(backend: str) -> None:
    """Ends with an AssertionError, or torch's own, if something is wrong."""
    device = torch.device("cuda", 0) if backend == "nccl" else torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(backend, init_method=f"file://{folder}/meeting", rank=0, world_size=1)
        rows = torch.randn(6, 4, device=device, requires_grad=True)
        gathered = _AllGather.apply(rows)
        assert torch.equal(gathered, rows[None])
        gathered.square().sum().backward()
        torch.testing.assert_close(rows.grad, 2 * rows.detach())
        network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).to(device)
        plain = copy.deepcopy(network)
        parallel = DistributedDataParallel(network, device_ids=[0] if backend == "nccl" else None)
        for each in (plain, parallel):
            each(rows.detach()).square().sum().backward()
        for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)
        dist.barrier()
        dist.destroy_process_group()
    print(f"{backend}, one process on {device}: as without")


if __name__ == "__main__":
    main(sys.argv[1])
