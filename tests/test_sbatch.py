"""scripts/slurm/train.sbatch with stubs in place of SLURM: what it starts, goes on with, and queues again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from entrypoints import ROOT

TRAIN = ROOT / "code" / "train.py"
PYTHON = f"{ROOT}/code/../scripts/python"


@pytest.fixture
def job(tmp_path):
    """Runs a script as job 7 of a SLURM whose srun ends with a status; returns that of the script, and what ran."""
    for name in ("srun", "scontrol"):
        stub = tmp_path / name
        stub.write_text(f'#!/bin/sh\necho {name} "$@" >> "$NOTES"\n[ {name} = scontrol ] || exit "$STATUS"\n')
        stub.chmod(0o755)

    def run(*words: str | Path, status: int = 0, task: int | None = None) -> tuple[int, list[list[str]]]:
        notes = tmp_path / "notes"
        notes.write_text("")
        variables = {"NOTES": str(notes), "STATUS": str(status), "SLURM_JOB_ID": "7"}
        path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
        if task is not None:
            variables |= {"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": str(task)}
        script = "train.sbatch" if task is None else "array.sbatch"
        command = ["bash", str(ROOT / "scripts" / "slurm" / script), *map(str, words)]
        done = subprocess.run(command, env=os.environ | variables | {"PATH": path}, cwd=tmp_path, timeout=60)
        return done.returncode, [line.split() for line in notes.read_text().splitlines()]

    return run


def test_a_program_is_started_under_the_job_s_number(job, tmp_path):
    words = ["--dataset", "cub", "--log-dir", str(tmp_path)]
    assert job(TRAIN, *words) == (0, [["srun", PYTHON, str(TRAIN), *words, "--run-name", "job_7"]])


@pytest.mark.parametrize("spelling", [["--run-name", "mine"], ["--run_name=mine"]])
def test_its_own_name_stays(job, tmp_path, spelling):
    _, [started] = job(TRAIN, "--log-dir", tmp_path, *spelling)
    assert started[-2:] == ["--run-name", "mine"]


@pytest.mark.parametrize("flag", ["--log-dir", "--log_dir"])
@pytest.mark.parametrize("begun", [TRAIN, ROOT / "scripts/cub/lsd_triplet.sh"], ids=lambda path: path.name)
def test_a_run_of_its_name_is_continued(job, tmp_path, begun, flag):
    run = tmp_path / "logs" / "cub" / "job_7"
    words = [begun, flag, tmp_path / "logs"]
    _, [started] = job(*words)
    assert "--resume-run" not in started
    run.mkdir(parents=True)
    (run / "config.json").touch()
    _, [started] = job(*words)
    python, entry, *rest = started[1:]
    assert [os.path.realpath(python), os.path.realpath(entry)] == [str(ROOT / "scripts" / "python"), str(TRAIN)]
    assert rest == ["--resume-run", str(run)]


def test_a_script_is_started_as_it_is(job, tmp_path):
    script = ROOT / "scripts" / "cub" / "lsd_triplet.sh"
    _, [started] = job(script, "--log-dir", tmp_path, "--seed", "2")
    assert started == ["srun", str(script), "--log-dir", str(tmp_path), "--seed", "2", "--run-name", "job_7"]


@pytest.mark.parametrize(("status", "again"), [(130, True), (0, False), (2, False), (137, False)])
def test_only_a_run_that_stopped_and_saved_is_queued_again(job, tmp_path, status, again):
    ended, [_, *rest] = job(TRAIN, "--log-dir", tmp_path, status=status)
    assert ended == status
    assert rest == ([["scontrol", "requeue", "7"]] if again else [])


def test_without_a_training_it_says_how(job):
    assert job() == (2, [])


def test_the_tasks_of_an_array_differ_in_their_seed(job, tmp_path):
    words = ["--dataset", "cub", "--log-dir", str(tmp_path)]
    status, [[_, _, entry, *rest]] = job(TRAIN, *words, task=3)
    assert (status, os.path.realpath(entry)) == (0, str(TRAIN))
    assert rest[:-2] == [*words, "--seed", "3", "--run-name", "job_5_3"]
    _, [started] = job(TRAIN, "--log-dir", tmp_path, "--run-name", "mine", task=3)
    assert started[-2:] == ["--run-name", "mine_3"]


def test_the_number_of_a_task_stands_where_it_is_asked_for(job, tmp_path):
    _, [started] = job(TRAIN, "--log-dir", tmp_path, "--fold", "{}/4", task=2)
    assert started[3:-2] == ["--log-dir", str(tmp_path), "--fold", "2/4", "--run-name", "job_5_2"]


def test_a_task_runs_its_line_of_a_file(job, tmp_path):
    file = tmp_path / "commands.txt"
    script = ROOT / "scripts" / "cub" / "lsd_triplet.sh"
    file.write_text(f"{TRAIN} --log-dir {tmp_path}\n{script} --log-dir {tmp_path} --remark 'a b'\n")
    _, [started] = job(file, task=2)
    assert os.path.realpath(started[1]) == str(script)
    assert started[2:-2] == ["--log-dir", str(tmp_path), "--remark", "a", "b", "--run-name", "job_5_2"]
    assert job(file, task=3)[0] == 2


def test_a_task_that_stopped_is_queued_again_and_goes_on(job, tmp_path):
    ended, [_, *rest] = job(TRAIN, "--log-dir", tmp_path, status=130, task=1)
    assert (ended, rest) == (130, [["scontrol", "requeue", "7"]])
    run = tmp_path / "cub" / "job_5_1"
    run.mkdir(parents=True)
    (run / "config.json").touch()
    _, [started] = job(TRAIN, "--log-dir", tmp_path, task=1)
    assert started[3:] == ["--resume-run", str(run)]


def test_an_array_without_a_number_says_how(job):
    assert job(task=1) == (2, [])
