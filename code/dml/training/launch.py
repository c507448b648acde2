"""Devices and processes: one process, the GPUs of a machine, or machines under torchrun or SLURM, by one code."""

from __future__ import annotations

import os
import warnings

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy


def launch(*, gpu_id: tuple[int, ...], precision: str, seed: int) -> Fabric:
    """A launched Fabric for ``--gpu-id`` and ``--precision``, with every global generator seeded.

    Under torchrun or SLURM the scheduler's number of processes counts, otherwise ``--gpu-id``: its numbers, or
    all visible GPUs for −1. A GPU that is not there is a warning, and the CPU is used.

    NOTE: the same seed on every process: initial weights must agree, and augmentation is seeded per image.
    """
    accelerator, devices = _devices(gpu_id)
    local, nodes = _scheduled_processes()
    if local:
        devices = local
    processes = nodes * (devices if isinstance(devices, int) else len(devices))
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        # A warm-up freezes parameters for a while: those are "unused" to data-parallel training.
        strategy=DDPStrategy(find_unused_parameters=True) if processes > 1 else "auto",
        precision={"32": "32-true"}.get(precision, precision),
    )
    fabric.launch()
    # True of every step without a warm-up, and meant so.
    warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
    torch.backends.cudnn.benchmark = True  # images have one size, so the search for the fastest kernels pays
    fabric.seed_everything(seed, verbose=False)
    return fabric


def _devices(gpu_ids: tuple[int, ...]) -> tuple[str, int | list[int]]:
    available = torch.cuda.device_count()
    wanted = list(range(available)) if -1 in gpu_ids else list(gpu_ids)
    if wanted and all(0 <= number < available for number in wanted):
        return "cuda", wanted
    asked = " ".join(map(str, gpu_ids))
    there = f"GPUs 0..{available - 1} are there" if available else "no GPU is there"
    warnings.warn(f"--gpu-id {asked}: {there}; using the CPU")
    return "cpu", 1


def _scheduled_processes() -> tuple[int, int]:
    """(processes on this machine, machines) as torchrun or SLURM started them; (0, 1) if neither did."""
    environment = os.environ
    if "LOCAL_WORLD_SIZE" in environment:
        local = int(environment["LOCAL_WORLD_SIZE"])
        return local, int(environment["WORLD_SIZE"]) // local
    if int(environment.get("SLURM_NTASKS", 1)) > 1 and "SLURM_PROCID" in environment:
        nodes = int(environment.get("SLURM_NNODES", 1))
        return int(environment["SLURM_NTASKS"]) // nodes, nodes
    return 0, 1
