"""Runs a test's function in two processes that share a gloo group, as training under several processes does."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy

PROCESSES = 2
needs_gloo = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="torch without gloo, which CPUs exchange tensors by"
)


def in_two_processes(function: Callable[..., Any], *arguments: Any, seconds: float = 240) -> list[Any]:
    """What ``function(rank, *arguments)``, of the top level of a module, returns in each of two processes.

    They are forked off a process that has imported torch, which saves the seconds of importing it in each.
    """
    mp.get_context("forkserver").set_forkserver_preload(["torch", "lightning_fabric"])
    with tempfile.TemporaryDirectory() as folder:
        started = mp.start_processes(
            _process,
            args=(_free_port(), folder, function, arguments),
            nprocs=PROCESSES,
            join=False,
            start_method="forkserver",
        )
        end = time.monotonic() + seconds
        try:
            while not started.join(timeout=1):
                assert time.monotonic() < end, "waited in vain for two processes"
        finally:
            for process in started.processes:
                process.kill()
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(PROCESSES)]


def fabric_of_two(rank: int) -> Fabric:
    """Within such a process: a Fabric that knows of both."""
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    strategy = DDPStrategy(parallel_devices=[torch.device("cpu")] * PROCESSES)
    fabric = Fabric(accelerator="cpu", devices=1, strategy=strategy, plugins=[LightningEnvironment()])
    fabric.launch()
    return fabric


def share_of(rows: torch.Tensor, rank: int, num_views: int = 1) -> torch.Tensor:
    """(V·W·B, …) rows of the global batch, view by view → (V·B, …) those of process ``rank``."""
    return rows.unflatten(0, (num_views, PROCESSES, -1))[:, rank].flatten(0, 1)


def _process(rank: int, port: int, folder: str, function: Callable[..., Any], arguments: tuple) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=PROCESSES)
    torch.save(function(rank, *arguments), Path(folder) / f"{rank}.pt")
    dist.barrier()  # lest one leaves in the middle of what the other still does with it
    dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
