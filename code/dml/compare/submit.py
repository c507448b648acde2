"""Jobs of a cluster that work on a comparison, through submitit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import dml
from dml.errors import UserError
from dml.tracking import say

MISSING = "submitit queues jobs, and is missing in this Python: pip install submitit, or this package's [cluster]"
MINUTES = 240
SIGNAL_AHEAD = 120  # seconds before the time limit at which a run stops, saves, and the job is queued again
POLL = 0.5  # seconds between two looks at whether it has ended
RESTARTS = 10_000  # as often as it takes


class Job:
    """Runs a command line; ahead of the time limit, or when it is preempted, stops it in order and comes again.

    Args:
        line: what to run.
    """

    def __init__(self, line: list[str]):
        self.line = line
        self._process: subprocess.Popen | None = None

    def __call__(self) -> None:
        """Run it to its end."""
        self._process = subprocess.Popen(self.line)
        while (status := self._process.poll()) is None:
            time.sleep(POLL)
        if status:
            raise RuntimeError(f"ended with status {status}: {' '.join(self.line)}")

    def checkpoint(self) -> Any:
        """The job to queue in the place of this one."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            # By the system's calls alone: this may have come into poll, which holds a lock that wait would wait for.
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._process.pid, signal.SIGTERM)
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Job(self.line))


def submit(line: list[str], *, jobs: int, options: tuple[str, ...], folder: Path, name: str) -> list[str]:
    """Queue ``jobs`` jobs that run ``line``.

    Args:
        options: KEY=VALUE, as sbatch has them, with underscores or dashes.
        folder: keeps what they say.

    Returns:
        their numbers.

    Raises:
        UserError: no submitit, no SLURM, or what SLURM does not take.
    """
    try:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ModuleNotFoundError as error:
        if error.name != "submitit":
            raise
        raise UserError(MISSING) from None
    try:
        executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=RESTARTS, python=sys.executable)
    except RuntimeError as error:
        raise UserError(f"--submit slurm: {error}") from None
    typed = dict(_option(word) for word in options)
    known = executor._valid_parameters()
    chosen = {"job_name": name, "time": MINUTES, "signal_delay_s": SIGNAL_AHEAD, "stderr_to_stdout": True}
    chosen |= {key: value for key, value in typed.items() if key in known}
    chosen["setup"] = [f"export PYTHONPATH={Path(dml.__file__).parents[1]}${{PYTHONPATH:+:$PYTHONPATH}}"]
    others = {key: value for key, value in typed.items() if key not in known}
    executor.update_parameters(**chosen, additional_parameters={"requeue": True} | others)
    try:
        with executor.batch():
            queued = [executor.submit(Job(line)) for _ in range(jobs)]
        numbers = [job.job_id for job in queued]
    except (FailedSubmissionError, FailedJobError) as error:
        raise UserError(f"--submit slurm: {str(error).strip().splitlines()[-1]}") from None
    say(
        f"queued {', '.join(numbers)}; what they say is in {folder}. The same command with --status tells how far it is"
    )
    return numbers


def _option(word: str) -> tuple[str, Any]:
    key, _, value = word.partition("=")
    return key.replace("-", "_"), int(value) if value.isdecimal() else value
