"""A SLURM cluster of two nodes on this very machine, of the system's packages, for as long as a test needs it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("srun", "sbatch", "salloc", "scancel", "squeue", "sinfo", "scontrol")
# What an allocation in which the tests may run themselves sets, and what would change the commands' defaults.
FOREIGN = ("SLURM_", "SLURMD_", "SRUN_", "SBATCH_", "SALLOC_", "MASTER_")


class NoClusterError(Exception):
    """The daemons do not start on this machine."""


def why_not() -> str:
    """What keeps this machine from playing a cluster; empty: nothing."""
    search = _search_path()
    missing = [program for program in (*DAEMONS, *COMMANDS) if shutil.which(program, path=search) is None]
    if missing:
        return f"no SLURM here ({', '.join(missing)} not found): apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "only root can start the daemons of SLURM"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start it, with everything that it keeps in ``folder``, which is new, and stop it whatever happens.

    Yields:
        the environment in which SLURM's commands talk to it.

    Raises:
        NoClusterError: a daemon does not start, with what it said.
    """
    for name in ("state", "spool", "log"):
        (folder / name).mkdir(parents=True)
    key, munge, configuration = folder / "munge.key", folder / "munge.socket", folder / "slurm.conf"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    nodes = (host, f"{host}-2")  # the first one's name may resolve, and the processes meet there
    configuration.write_text(_configuration(folder, nodes, munge))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment |= {"SLURM_CONF": str(configuration), "PATH": _search_path()}
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        environment["MASTER_ADDR"] = "127.0.0.1"
    of_munge = [f"--key-file={key}", f"--socket={munge}", f"--pid-file={folder}/munged.pid"]
    of_munge += [f"--log-file={folder}/log/munged.log", f"--seed-file={folder}/munge.seed"]
    daemons: list[subprocess.Popen] = []

    def start(*command: str) -> None:
        with (folder / "log" / f"{len(daemons)}.out").open("w") as out:
            daemons.append(subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT))

    def up(condition: Callable[[], bool]) -> None:
        end, is_up = time.monotonic() + 90, False
        while not is_up:
            dead = [daemon.args[0] for daemon in daemons if daemon.poll() is not None]
            if dead or time.monotonic() > end:
                logs = "\n".join(f"{path.name}: {path.read_text()[-1000:]}" for path in (folder / "log").iterdir())
                raise NoClusterError(f"SLURM does not start here ({', '.join(dead) or 'too slow'})\n{logs}")
            time.sleep(0.2)
            is_up = condition()

    try:
        start("munged", "--foreground", "--force", *of_munge)
        up(munge.exists)
        start("slurmctld", "-D")
        for node in nodes:
            start("slurmd", "-D", "-N", node)
        up(lambda: _said(environment, "sinfo", "--noheader", "--format=%D %T") == "2 idle")
        try:
            yield environment
        finally:
            _end_jobs(environment)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(20)
        for process in processes_with(f"SLURM_CONF={configuration}"):  # those, and what they left
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for daemon in daemons:
            daemon.wait()


def processes_with(variable: str) -> list[int]:
    """The processes that have ``NAME=value`` in their environment, but for this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def _end_jobs(environment: dict[str, str]) -> None:
    """Cancel them, and give them the time that SLURM gives them."""
    _said(environment, "scancel", "--user=root")
    end = time.monotonic() + 60
    while _said(environment, "squeue", "--noheader") and time.monotonic() < end:
        time.sleep(0.2)


def _said(environment: dict[str, str], *command: str) -> str:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip()


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])


def _configuration(folder: Path, nodes: tuple[str, str], munge: Path) -> str:
    """Each node has all the processors of the machine; a job that is queued again need not wait for two minutes."""
    ports, cpus = _free_ports(3), os.cpu_count()
    each = [
        f"NodeName={node} NodeHostname={nodes[0]} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=1000"
        for node, port in zip(nodes, ports[1:], strict=True)
    ]
    return f"""
ClusterName=two_on_one
SlurmctldHost={nodes[0]}(127.0.0.1)
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
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
KillWait=30
OverTimeLimit=10
{each[0]}
{each[1]}
PartitionName=all Nodes={nodes[0]},{nodes[1]} Default=YES MaxTime=INFINITE State=UP
"""


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
