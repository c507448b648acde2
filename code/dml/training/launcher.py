"""Who started the processes of a run: nobody but the user, torchrun, or SLURM's srun."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric.plugins.environments import SLURMEnvironment

from dml.errors import UserError

PORTS = range(15_000, 25_000)  # where the processes of a SLURM step meet, unless MASTER_PORT says otherwise


@dataclass(frozen=True)
class Launcher:
    """What started this process.

    Attributes:
        command: the words before the entry point that start the same number of processes again.
        name: for messages.
        local: processes that it started on this machine; None: this one alone.
        nodes: machines.
        one_gpu_each: whether it may have left each process a GPU of its own to see.
    """

    command: tuple[str, ...] = ("python",)
    name: str = "python"
    local: int | None = None
    nodes: int = 1
    one_gpu_each: bool = False


def find_launcher(environment: Mapping[str, str] | None = None) -> Launcher:
    """What the variables of ``environment``, by default the process's own, say.

    SLURM's variables stand in every shell of an allocation, and in the batch script: only those of a step say that
    ``srun`` started this very process.

    Raises:
        UserError: a number of processes that is not the same on every machine.
    """
    environment = os.environ if environment is None else environment
    if environment.get("LOCAL_WORLD_SIZE"):  # one that is empty is as good as none
        return _torchrun(int(environment["LOCAL_WORLD_SIZE"]), int(environment["WORLD_SIZE"]))
    if int(environment.get("SLURM_STEP_NUM_TASKS") or 1) > 1 and not _has_terminal():
        return _srun(environment)
    return Launcher()


def warn_of_tasks_without_srun(launcher: Launcher) -> None:
    """Say that this process is alone, where SLURM was asked for more and nothing started them."""
    tasks = int(os.environ.get("SLURM_NTASKS") or 1)
    if launcher.local is None and tasks > 1:
        warnings.warn(
            f"SLURM reserved {tasks} tasks, but this process was not started by srun: it works without the others, on"
            " the devices of --gpu-id. `srun python …` starts them all"
        )


def _torchrun(local: int, processes: int) -> Launcher:
    nodes, rest = divmod(processes, local)
    if rest:
        raise UserError(f"torchrun started {processes} processes, {local} of them here: start as many on each machine")
    # Of several machines the user knows where they meet, and how to reach them.
    where = ("--standalone",) if nodes == 1 else ("--nnodes", str(nodes))
    return Launcher(("torchrun", *where, "--nproc-per-node", str(local)), "torchrun", local, nodes)


def _srun(environment: Mapping[str, str]) -> Launcher:
    tasks, nodes = (int(environment[f"SLURM_STEP_NUM_{what}"]) for what in ("TASKS", "NODES"))
    if "," in environment.get("SLURM_STEP_TASKS_PER_NODE", ""):
        raise UserError(
            f"srun started {tasks} tasks on {nodes} machines, not as many on each"
            f" ({environment['SLURM_STEP_TASKS_PER_NODE']}): --nodes and --ntasks-per-node say how many"
        )
    local = tasks // nodes
    command = ("srun", "--nodes", str(nodes), "--ntasks-per-node", str(local), "python")
    return Launcher(command, "srun", local, nodes, one_gpu_each=True)


def rendezvous_of_srun(environment: Mapping[str, str]) -> dict[str, str]:
    """What torchrun would have set for a task of ``srun``: its numbers, and where the tasks of its step meet."""
    place = int(environment["SLURM_JOB_ID"]) * 37 + int(environment["SLURM_STEP_ID"])  # steps may run side by side
    return {
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "NODE_RANK": environment["SLURM_NODEID"],
        "MASTER_ADDR": environment.get("MASTER_ADDR")
        or SLURMEnvironment.resolve_root_node_address(environment["SLURM_STEP_NODELIST"]),
        "MASTER_PORT": environment.get("MASTER_PORT") or str(PORTS[place % len(PORTS)]),
    }


def _has_terminal() -> bool:
    """Whether the process has a terminal, which of srun's tasks only the shell of ``srun --pty`` has."""
    try:
        with Path("/dev/tty").open():
            return True
    except OSError:
        return False
