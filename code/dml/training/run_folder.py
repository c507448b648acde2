"""The run folder, logs/<data name>/<run-name>/, and where the networks of runs are kept to be sources."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO

from lightning_fabric import Fabric

from dml.config import ROOT, TrainConfig
from dml.errors import UserError
from dml.places import from_home
from dml.writing import remove_leftovers, write_text_atomically

SOURCES = ROOT / "pretrained_source"


def create_run_folder(config: TrainConfig, fabric: Fabric) -> Path:
    """Make a new folder with the run's ``config.json``; an existing name gets a suffix, nothing is overwritten.

    Returns:
        the same path on every process.

    Raises:
        UserError: ``--log-dir`` is no folder that can be written to.
    """
    folder = None
    if fabric.is_global_zero:
        name = config.run.run_name or config.default_run_name()
        parent = from_home(config.run.log_dir).resolve() / config.data.name
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder = _first_free(parent, name)
        except OSError as error:
            raise UserError(f"--log-dir {config.run.log_dir}: cannot make {parent}: {error.strerror}") from error
        write_text_atomically(config.to_json(), folder / "config.json")
    return fabric.broadcast(folder)


def reopen_run_folder(config: TrainConfig, folder: Path, fabric: Fabric) -> Path:
    """The folder of a run to continue, cleared of what a killed process left half written, its configuration renewed:
    files may have moved since.

    Raises:
        UserError: the run is still going.
    """
    if fabric.is_global_zero:
        lock_run_folder(folder).close()
        remove_leftovers(folder)
        write_text_atomically(config.to_json(), folder / "config.json")
    fabric.barrier()
    return folder.resolve()


def lock_run_folder(folder: Path) -> IO:
    """Claim a run folder for this process, until the returned file is closed or the process ends.

    A record lock: loading workers do not inherit it, so it goes with the very process that trains. Where the
    system or the file system has none, nothing is claimed.

    Raises:
        UserError: another process trains there.
    """
    file = (folder / ".lock").open("w")
    try:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.close()
        raise UserError(f"{folder}: this run is still going, in another process") from None
    except (ImportError, OSError):  # Windows; some network file systems
        return file
    return file


def _first_free(parent: Path, name: str) -> Path:
    suffix = 1
    while True:
        folder = parent / (name if suffix == 1 else f"{name}_{suffix}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            suffix += 1


def keep_as_source(config: TrainConfig, run: Path, folder: Path = SOURCES) -> Path:
    """Copy the run's best.pt to ``<folder>/<model>/<data set>_<model>_<D>dim_<loss>_ckpt.pth``, as published.

    A name that is taken gets a number; nothing is overwritten.

    Returns:
        the copy's path.
    """
    model = config.model.model
    name = f"{config.data.name}_{model}_{config.model.embedding_size}dim_{config.loss.loss}_ckpt"
    parent, number = folder / model, 1
    parent.mkdir(parents=True, exist_ok=True)
    while (target := parent / f"{name}{'' if number == 1 else f'_{number}'}.pth").exists():
        number += 1
    shutil.copyfile(run / "best.pt", target)
    return target
