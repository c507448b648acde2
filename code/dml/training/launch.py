"""Devices and processes: one process, the GPUs of a machine, or machines under torchrun or SLURM, by one code."""

from __future__ import annotations

import os
import warnings

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy, SingleDeviceStrategy

from dml.config import EvaluateConfig, RunConfig
from dml.errors import UserError
from dml.training.compiling import require_compiler
from dml.training.launcher import Launcher, find_launcher, rendezvous_of_srun, warn_of_tasks_without_srun

FIRST = ((), (0,), (-1,))
"""Values of ``--gpu-id`` that mean the first GPU, or the first ones."""


def launch(config: RunConfig | EvaluateConfig) -> Fabric:
    """A launched Fabric for ``--gpu-id`` and ``--precision``, with every global generator seeded.

    Under torchrun or srun there are the processes that were started, each with its GPU of ``devices_of``; otherwise
    one for each of these. A GPU that was asked for and is not there is a warning, and the CPU is used.

    NOTE: the same seed on every process: initial weights must agree, and so must what is drawn for the global batch;
    augmentation is seeded per image.

    Raises:
        UserError: other numbers of GPUs and of processes, processes that do not find each other, or ``--compile``
            without a compiler.
    """
    launcher = find_launcher()
    warn_of_tasks_without_srun(launcher)
    devices = devices_of(config.gpu_id, launcher)
    if isinstance(config, RunConfig) and config.compile:
        require_compiler(devices[0])
    if launcher.name == "srun":
        os.environ.update(rendezvous_of_srun(os.environ))
    if len(devices) * launcher.nodes == 1:
        strategy = SingleDeviceStrategy(device=devices[0])
    else:
        # A warm-up freezes parameters for a while: those are "unused" to data-parallel training.
        strategy = DDPStrategy(parallel_devices=devices, find_unused_parameters=True)
    fabric = Fabric(
        accelerator=devices[0].type,
        devices=1,  # the strategy knows better
        num_nodes=launcher.nodes,
        strategy=strategy,
        precision={"32": "32-true"}.get(config.precision, config.precision),
        plugins=[LightningEnvironment()],  # lest Fabric takes SLURM's variables for more than they say
    )
    try:
        fabric.launch()
    except torch.distributed.DistError as error:
        raise UserError(
            f"process {fabric.global_rank} of {fabric.world_size} did not find the others at"
            f" {os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}: {launcher.name} must start all of them"
            f" ({str(error).splitlines()[0]})"
        ) from error
    # True of every step without a warm-up, and meant so.
    warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
    torch.backends.cudnn.benchmark = True  # images have one size, so the search for the fastest kernels pays
    fabric.seed_everything(config.seed, verbose=False)
    return fabric


def devices_of(gpu_ids: tuple[int, ...], launcher: Launcher) -> list[torch.device]:
    """The devices of this machine's processes, in their order.

    Without ``--gpu-id`` the first GPU, Apple's where NVIDIA has none, else the CPU; with it the GPUs that it names, all
    visible ones for −1. Of processes that were started already each takes the next one; without ``--gpu-id``, with 0
    and with −1 these are the first ones.

    Raises:
        UserError: other numbers of GPUs and of processes, or a GPU that is named twice.
    """
    available, processes = torch.cuda.device_count(), launcher.local
    asked = "--gpu-id " + (" ".join(map(str, gpu_ids)) or "0")
    if processes is not None and available == 1 and processes > 1 and launcher.one_gpu_each:
        return [torch.device("cuda", 0)] * processes
    if not available and processes is None and gpu_ids in FIRST and torch.backends.mps.is_available():
        return [torch.device("mps", 0)]
    if not available and not gpu_ids:
        return [torch.device("cpu")] * (processes or 1)
    if len(set(gpu_ids)) < len(gpu_ids):
        raise UserError(f"{asked} names a GPU twice: each process needs one of its own")
    wanted = list(range(available)) if -1 in gpu_ids else list(gpu_ids or (0,))
    if processes is not None and gpu_ids in FIRST:
        wanted = list(range(processes))
    if not (available and all(0 <= number < available for number in wanted)):
        there = f"GPUs 0..{available - 1} are there" if available else "no GPU is there"
        if available and processes is not None:
            raise UserError(f"{launcher.name} started {processes} processes here, and {asked}: {there}")
        warnings.warn(f"{asked}: {there}; using the CPU")
        return [torch.device("cpu")] * (processes or 1)
    if processes is not None and len(wanted) != processes:
        raise UserError(
            f"{launcher.name} started {processes} processes here, and {asked} names {len(wanted)} GPUs: as many of both"
        )
    return [torch.device("cuda", number) for number in wanted]
