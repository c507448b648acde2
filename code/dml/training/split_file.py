"""``split.csv`` in the run folder, and what checkpoints and the dashboard say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from dml.data.run_split import FILE_NAME, RunRecord, data_digest_of_run, earlier_files, split_table
from dml.data.run_split.table import SplitData, earlier_file
from dml.training.label_noise import FILE_NAME as NOISE_FILE
from dml.writing import replacing


def keep_split(data: SplitData, data_dir: str, folder: Path, fabric: Fabric) -> dict[str, Any] | None:
    """Write the split of a run that begins; of one that goes on with other images put theirs in its place.

    The earlier one stays as ``split_1.csv``, or the next number, and so do the wrong labels that belong to it. A run
    that left a checkpoint and no ``split.csv``, as those of earlier versions, gets none: what it was trained on is not
    known.

    Returns:
        what a checkpoint says of the split, the same on every process; None for such an old run.
    """
    record = None
    if fabric.is_global_zero and ((folder / FILE_NAME).is_file() or not (folder / "last.pt").is_file()):
        table = split_table(data, data_dir)
        _write(table.to_csv(), folder)
        record = RunRecord.of(table).stored()
    return fabric.broadcast(record)


def _write(content: bytes, folder: Path) -> None:
    file = folder / FILE_NAME
    if file.is_file():
        recorded = file.read_bytes()
        if recorded == content:
            return
        number = len(earlier_files(folder)) + 1
        noise = folder / NOISE_FILE
        if noise.is_file():
            noise.replace(noise.with_stem(f"{noise.stem}_{number}"))
        with replacing(earlier_file(folder, number)) as stream:
            stream.write(recorded)
    with replacing(file) as stream:
        stream.write(content)


def with_digest(config: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    """The settings of a run as plain types with the name and the digest of its data, by which reports group runs."""
    return config | {"data": config["data"] | {"data_name": name, "digest": data_digest_of_run(folder)}}
