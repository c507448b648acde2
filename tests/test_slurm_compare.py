"""Under a real SLURM: an array of trainings, and a comparison of ten trials that is submitted and drained, although a
node dies in the middle and a job is told to go."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from entrypoints import ROOT, run
from slurm_cluster import processes_with, why_not
from small_plan import PLAN, laid_out
from test_distributed import plain
from test_slurm import Slurm, slurm, wait_until  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


def numbers_of_processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def command_of(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text()
    return ""


def kill_all(processes: Iterable[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def test_the_tasks_of_an_array_train(slurm: Slurm, digits, logs):  # noqa: F811
    words = [*plain(digits, logs), "--epochs", "1", "--fold", "{}/2"]
    script = ROOT / "scripts" / "slurm" / "array.sbatch"
    job = slurm("sbatch", "--parsable", "--array", "1-2", script, ROOT / "code" / "train.py", *words).strip()
    wait_until(lambda: job not in slurm("squeue", "--noheader", "--format=%A"))
    for task in (1, 2):
        folder = logs / "folder" / f"job_{job}_{task}"
        assert json.loads((folder / "config.json").read_text())["data"]["fold"] == f"{task}/2"
        assert (folder / "best_results.txt").is_file()


def test_a_comparison_is_submitted_and_drained_although_a_node_dies(slurm: Slurm, digits, tmp_path):  # noqa: F811
    pytest.importorskip("submitit")
    benchmark = laid_out(digits, tmp_path)
    file, out = tmp_path / "ten.toml", tmp_path / "out"
    plan = PLAN.replace("trials = 3", "trials = 10").replace("generation = 2", "generation = 5")
    file.write_text(plan.replace("seeds = [1, 2]", "seeds = [1]").partition("[methods.plain]")[0])
    command = [sys.executable, ROOT / "code" / "compare.py", file, "--out", out, "--data-dir", benchmark]
    whole_nodes = f"cpus_per_task={os.cpu_count()}"
    said = slurm(*command, "--submit", "slurm", "--jobs", "2", "--slurm", "time=60", whole_nodes)
    assert "queued" in said
    array = said.partition("queued ")[2].partition("_")[0]

    def ended() -> int:
        return len(list(out.glob("runs/cub/*/result.json")))

    wait_until(lambda: ended() >= 2)
    nodes = {task: rest for task, *rest in map(str.split, slurm("squeue", "-h", "--format=%K %A %N").splitlines())}
    raw, node = nodes["1"]
    for name in (f"slurmd\0-D\0-N\0{node}\0", f"slurmstepd: [{raw}."):  # who would tell of it
        kill_all(number for number in numbers_of_processes() if command_of(number).startswith(name))
    kill_all(processes_with("SLURM_ARRAY_TASK_ID=1"))
    slurm("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    before = ended()
    wait_until(lambda: ended() >= before + 2)  # the other one goes on
    slurm("scancel", "--signal", "USR2", f"{array}_0")  # preempted: it stops in order, and comes again

    wait_until(lambda: not slurm("squeue", "--noheader", "--format=%A").strip())
    done = run("compare.py", file, "--out", out, "--data-dir", benchmark).stdout
    assert "anchor: 10 of 10 trials, 2 of 2 final runs, 1 of 1 seeds tested" in done
    records = [json.loads(path.read_text())["state"] for path in out.glob("runs/cub/*/result.json")]
    assert set(records) <= {"finished", "pruned"}
