"""Who started a process, by the variables that launchers set, and which devices that gives."""

from __future__ import annotations

import pytest
import torch

from dml.config import RunConfig
from dml.training import launcher
from dml.training.launch import devices_of, launch
from dml.training.launcher import Launcher, find_launcher, rendezvous_of_srun

BATCH_SCRIPT = {
    "SLURM_JOB_ID": "41",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "8",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NNODES": "2",
    "SLURM_NODELIST": "n[1-2]",
}
STEP = BATCH_SCRIPT | {
    "SLURM_STEP_ID": "3",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "n[1-2]",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}
SRUN = ("srun", "--nodes", "2", "--ntasks-per-node", "4", "python")


@pytest.fixture(autouse=True)
def without_terminal(monkeypatch):
    monkeypatch.setattr(launcher, "_has_terminal", lambda: False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Launcher(("python",), "python", None, 1)),
        (
            {"LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "4"},
            Launcher(("torchrun", "--standalone", "--nproc-per-node", "4"), "torchrun", 4, 1),
        ),
        (
            STEP | {"LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"},  # torchrun, started by srun on each machine
            Launcher(("torchrun", "--nnodes", "2", "--nproc-per-node", "4"), "torchrun", 4, 2),
        ),
        (STEP, Launcher(SRUN, "srun", 4, 2, one_gpu_each=True)),
        (STEP | {"SLURM_JOB_NAME": "interactive"}, Launcher(SRUN, "srun", 4, 2, one_gpu_each=True)),  # within salloc
        (BATCH_SCRIPT, Launcher()),
        (BATCH_SCRIPT | {"SLURM_JOB_NAME": "bash"}, Launcher()),
        (STEP | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1"}, Launcher()),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, Launcher()),  # the second process of --gpu-id 0 1
        ({"LOCAL_WORLD_SIZE": "", "WORLD_SIZE": "", "SLURM_STEP_NUM_TASKS": ""}, Launcher()),
    ],
)
def test_who_started_this_process(environment, expected):
    assert find_launcher(environment) == expected


def test_the_shell_of_srun_is_not_started_by_it(monkeypatch):
    """``srun --pty bash`` has all the variables of a step, and a terminal."""
    monkeypatch.setattr(launcher, "_has_terminal", lambda: True)
    assert find_launcher(STEP) == Launcher()


def test_machines_with_other_numbers_of_processes_are_refused():
    with pytest.raises(ValueError, match=r"not as many on each \(4,3\): --nodes and --ntasks-per-node"):
        find_launcher(STEP | {"SLURM_STEP_NUM_TASKS": "7", "SLURM_STEP_TASKS_PER_NODE": "4,3"})
    with pytest.raises(ValueError, match="torchrun started 7 processes, 4 of them here"):
        find_launcher({"LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "7"})


def test_where_the_tasks_of_a_step_meet():
    found = rendezvous_of_srun(STEP)
    assert (found["LOCAL_RANK"], found["NODE_RANK"], found["MASTER_ADDR"]) == ("1", "1", "n1")
    assert int(found["MASTER_PORT"]) in launcher.PORTS
    assert found["MASTER_PORT"] != rendezvous_of_srun(STEP | {"SLURM_STEP_ID": "4"})["MASTER_PORT"]
    chosen = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    assert rendezvous_of_srun(STEP | chosen) == found | chosen


def test_variables_of_slurm_without_srun_start_nothing_and_hang_nothing(monkeypatch):
    for name, value in BATCH_SCRIPT.items():
        monkeypatch.setenv(name, value)
    with pytest.warns(UserWarning, match="SLURM reserved 8 tasks, but this process was not started by srun"):
        fabric = launch(RunConfig(gpu_id=(0,)))
    assert (fabric.world_size, fabric.device) == (1, torch.device("cpu")) or torch.cuda.is_available()


def test_a_variable_of_slurm_without_a_value_says_nothing(monkeypatch, recwarn):
    monkeypatch.setenv("SLURM_NTASKS", "")
    launcher.warn_of_tasks_without_srun(Launcher())
    assert not recwarn.list


def gpus(*numbers: int) -> list[torch.device]:
    return [torch.device("cuda", number) for number in numbers]


TORCHRUN = Launcher(name="torchrun", local=2)


@pytest.mark.parametrize(
    ("asked", "started", "expected"),
    [
        ((), Launcher(), gpus(0)),
        ((0,), Launcher(), gpus(0)),
        ((2, 3), Launcher(), gpus(2, 3)),
        ((-1,), Launcher(), gpus(0, 1, 2, 3)),
        ((2, 3), TORCHRUN, gpus(2, 3)),
        ((3, 1), TORCHRUN, gpus(3, 1)),
        ((), TORCHRUN, gpus(0, 1)),
        ((0,), TORCHRUN, gpus(0, 1)),
        ((-1,), TORCHRUN, gpus(0, 1)),
        ((2,), Launcher(name="torchrun", local=1), gpus(2)),
        ((0,), Launcher(name="srun", local=4, one_gpu_each=True), gpus(0, 1, 2, 3)),
    ],
)
def test_devices_of_four_gpus(monkeypatch, asked, started, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert devices_of(asked, started) == expected


@pytest.mark.parametrize("started", [Launcher(), TORCHRUN])
def test_without_a_gpu_only_one_that_was_asked_for_is_missed(monkeypatch, recwarn, started):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    cpus = [torch.device("cpu")] * (started.local or 1)
    assert devices_of((), started) == cpus
    assert not recwarn.list
    with pytest.warns(UserWarning, match="--gpu-id 0: no GPU is there; using the CPU"):
        assert devices_of((0,), started) == cpus


def test_apples_gpu_is_taken_where_nvidia_has_none(monkeypatch, recwarn):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for asked in ((), (0,), (-1,)):
        assert devices_of(asked, Launcher()) == [torch.device("mps", 0)]
    assert not recwarn.list
    with pytest.warns(UserWarning, match="using the CPU"):
        assert devices_of((1,), Launcher()) == [torch.device("cpu")]
    assert devices_of((), TORCHRUN) == [torch.device("cpu")] * 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices_of((), Launcher()) == gpus(0)


def test_srun_may_leave_each_task_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices_of((0,), Launcher(name="srun", local=4, one_gpu_each=True)) == gpus(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("asked", "started", "message"),
    [
        ((1, 2, 3), TORCHRUN, r"torchrun started 2 processes here, and --gpu-id 1 2 3 names 3 GPUs: as many of both"),
        ((0,), Launcher(name="torchrun", local=5), r"torchrun started 5 processes here, and --gpu-id 0: GPUs 0..3 are"),
        ((3, 4), TORCHRUN, r"GPUs 0..3 are there"),
        ((1, 1), TORCHRUN, r"--gpu-id 1 1 names a GPU twice"),
        ((0, 0), Launcher(), r"--gpu-id 0 0 names a GPU twice"),
    ],
)
def test_other_numbers_of_gpus_and_processes_are_refused(monkeypatch, asked, started, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(ValueError, match=message):
        devices_of(asked, started)


@pytest.mark.parametrize(("started", "processes"), [(Launcher(), 1), (TORCHRUN, 2)])
def test_without_a_gpu_the_cpu_is_used(monkeypatch, started, processes):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.warns(UserWarning, match="no GPU is there; using the CPU"):
        assert devices_of((0,), started) == [torch.device("cpu")] * processes
