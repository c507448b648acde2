"""A SLURM cluster of two nodes on this very machine, of the system's packages, for as long as a test needs it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("srun", "sbatch", "salloc", "scancel", "squeue", "sinfo", "scontrol")


def why_not() -> str:
    """What keeps this machine from playing a cluster; empty: nothing."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    missing = [program for program in (*DAEMONS, *COMMANDS) if shutil.which(program, path=search) is None]
    if missing:
        return f"no SLURM here ({', '.join(missing)} not found): apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "only root can start the daemons of SLURM"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start it, with everything that it keeps in ``folder``, and stop it whatever happens.

    Yields:
        the environment in which SLURM's commands talk to it.
    """
    ports, host = _free_ports(3), socket.gethostname().partition(".")[0]
    for name in ("state", "spool", "log"):
        (folder / name).mkdir(parents=True)
    key, munge = folder / "munge.key", folder / "munge.socket"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    configuration = folder / "slurm.conf"
    configuration.write_text(_configuration(folder, host, munge, ports))
    environment = os.environ | {
        "SLURM_CONF": str(configuration),
        "PATH": os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]),
        "MASTER_ADDR": "127.0.0.1",  # the nodes' names are nobody's
    }
    of_munge = [f"--key-file={key}", f"--socket={munge}", f"--pid-file={folder}/munged.pid"]
    of_munge += [f"--log-file={folder}/log/munged.log", f"--seed-file={folder}/munge.seed"]
    started: list[subprocess.Popen] = []
    try:
        for command in (
            ["munged", "--foreground", "--force", *of_munge],
            ["slurmctld", "-D"],
            ["slurmd", "-D", "-N", "n1"],
            ["slurmd", "-D", "-N", "n2"],
        ):
            with (folder / "log" / f"{len(started)}.out").open("w") as out:
                started.append(subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT))
            _wait_until(munge.exists, "munged does not start", folder)
        idle = ["sinfo", "--noheader", "--format=%D %T"]
        _wait_until(lambda: _said(idle, environment) == "2 idle", "the nodes do not come up", folder)
        yield environment
    finally:
        if len(started) == 4:
            subprocess.run(["scancel", "--user=root"], env=environment, timeout=60, check=False)
            _wait_until(lambda: not _said(["squeue", "--noheader"], environment), "jobs do not end", folder, fail=False)
        for daemon in reversed(started):
            daemon.terminate()
        for daemon in reversed(started):
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait(20)


def _configuration(folder: Path, host: str, munge: Path, ports: list[int]) -> str:
    cpus = os.cpu_count()
    return f"""
ClusterName=two_on_one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={munge},cred_expire=5
CredType=cred/munge
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
KillWait=30
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports[1]}-{ports[1] + 1}] CPUs={cpus} RealMemory=1000
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""


def _free_ports(number: int) -> list[int]:
    """The first of them, and two that follow each other."""
    while True:
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            first, second = one.getsockname()[1], two.getsockname()[1]
            try:
                three.bind(("127.0.0.1", second + 1))
            except OSError:
                continue
            return [first, second, second + 1][:number]


def _said(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()


def _wait_until(condition, failure: str, folder: Path, *, seconds: float = 60, fail: bool = True) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            logs = "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in (folder / "log").iterdir())
            assert not fail, f"{failure}\n{logs}"
            return
        time.sleep(0.2)
