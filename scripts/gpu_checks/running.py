"""Runs the stages of a GPU check within their time, and writes what came of them."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dml.errors import UserError
from gpu_checks.stages import (
    COMMIT,
    FEW_CLASSES,
    FEW_IMAGES,
    IMAGES,
    ROOT,
    STAGES,
    WEIGHTS,
    WHEELS,
    Figure,
    Setting,
    Step,
)

OK, MISSED = "ok", "a limit was missed"
SLOWER = 4  # times as long a step may take in a rehearsal


@dataclass(frozen=True)
class Outcome:
    """What came of a step: its ``status`` in words, the ``seconds`` that it took of those it had, its figures."""

    stage: str
    step: str
    status: str
    seconds: float
    limit: float
    figures: tuple[Figure, ...]


def run(results: Path, stages: Sequence[str], *, device: str, seconds: float) -> int:
    """Run stages, all if none is named, and write ``results.json``, ``results.txt`` and ``log.txt`` into a folder.

    Whatever becomes of a step, the next one runs, as long as time is left; the files are up to date after each.

    Returns:
        0, or 1 if anything but "ok" came of a step.

    Raises:
        UserError: an unknown stage, no GPU, or no unpacked archive here.
    """
    unknown = [name for name in stages if name not in STAGES]
    if unknown:
        raise UserError(f"there is no stage {unknown[0]!r}: {', '.join(STAGES)}")
    if not ((ROOT / IMAGES).is_dir() and (ROOT / WEIGHTS).is_file()):
        raise UserError(
            f"{ROOT} has no {IMAGES}: unpack the archive of `scripts/gpu_check.sh pack` and run what is in it"
        )
    end = time.monotonic() + seconds
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        environment = _environment(scratch / "site", device)
        about = describe(device, environment)
        setting = Setting(device, ROOT / IMAGES, few_of(ROOT / IMAGES, scratch), ROOT / WEIGHTS, scratch)
        outcomes: list[Outcome] = []
        with (results / "log.txt").open("wb") as log:
            for stage in stages or STAGES:
                for step in STAGES[stage](setting):
                    limit = min(step.seconds * (SLOWER if device == "cpu" else 1), end - time.monotonic())
                    outcomes.append(take(stage, step, limit, log, environment))
                    write(results, about, outcomes)
                    print(line_of(outcomes[-1]), flush=True)
    return 0 if all(outcome.status == OK for outcome in outcomes) else 1


def take(stage: str, step: Step, limit: float, log: Any, environment: Mapping[str, str]) -> Outcome:
    """Run a step for ``limit`` seconds at most; then it is killed with all that it started."""
    if limit < 1:
        return Outcome(stage, step.name, "no time was left", 0.0, limit, ())
    log.write(f"== {stage}: {step.name}\n".encode())
    log.flush()
    start = time.monotonic()
    process = subprocess.Popen(step.words, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        code = process.wait(limit)
        status = OK if code == 0 else MISSED if code == step.missed else f"failed with status {code}"
    except subprocess.TimeoutExpired:
        status = f"took longer than {limit:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # loading processes, too
        process.wait()
    seconds = time.monotonic() - start
    try:
        figures = tuple(step.figures())
    except (OSError, ValueError, KeyError) as error:
        figures = ()
        if status == OK:
            status = f"left nothing to read: {error!r}"
    if status == OK and not all(figure.ok for figure in figures):
        status = MISSED
    return Outcome(stage, step.name, status, seconds, limit, figures)


def write(results: Path, about: dict[str, str], outcomes: Sequence[Outcome]) -> None:
    """The two files of results."""
    content = {**about, "steps": [asdict(outcome) for outcome in outcomes]}
    (results / "results.json").write_text(json.dumps(content, indent=2) + "\n")
    lines = [", ".join(f"{name} {value}" for name, value in about.items()), "", *map(line_of, outcomes), ""]
    for outcome in outcomes:
        for figure in outcome.figures:
            numbers = [f"{figure.value:.4g} {figure.unit}".strip()]
            numbers += [] if figure.ratio is None else [f"ratio {figure.ratio:.3g}"]
            numbers += [] if figure.limit is None else [f"limit {figure.limit:.3g}{'' if figure.ok else ' MISSED'}"]
            lines.append(f"{figure.name:<64} {', '.join(numbers)}  [{about['device']}]")
    (results / "results.txt").write_text("\n".join(lines) + "\n")


def line_of(outcome: Outcome) -> str:
    """A step in one line."""
    return f"{outcome.stage:<12} {outcome.step:<24} {outcome.seconds:6.1f} of {outcome.limit:4.0f} s  {outcome.status}"


def describe(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the figures hold for.

    Raises:
        UserError: a device that is not there.
    """
    asked = (
        "import torch; print(torch.__version__);"
        " print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else '')"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise UserError(f"{sys.executable} has no PyTorch: {done.stderr.strip().splitlines()[-1]}")
    version, name = done.stdout.split("\n")[:2]
    if device == "cuda" and not name:
        raise UserError("no GPU is there: `--device cpu` rehearses on the CPU")
    commit = ROOT / COMMIT
    return {
        "device": name if device == "cuda" else f"CPU, {os.cpu_count()} cores, a rehearsal",
        "torch": version,
        "python": platform.python_version(),
        "commit": commit.read_text() if commit.is_file() else "unknown",
        "began": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
    }


def few_of(images: Path, folder: Path) -> Path:
    """A list of the first images of the first classes, half of which train."""
    rows = ["path,label,split"]
    for place, one in enumerate(sorted(images.iterdir())[:FEW_CLASSES]):
        split = "train" if place < FEW_CLASSES // 2 else "test"
        rows += [f"{path},{one.name},{split}" for path in sorted(one.iterdir())[:FEW_IMAGES]]
    file = folder / "few.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


def _environment(site: Path, device: str) -> dict[str, str]:
    """That of the steps: with the wheels of what this Python lacks, and without GPU for a rehearsal."""
    for wheel in sorted((ROOT / WHEELS).glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            if any(importlib.util.find_spec(name) is None for name in _modules(archive.namelist())):
                archive.extractall(site)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(site)]))
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"} | hidden


def _modules(names: Sequence[str]) -> Iterator[str]:
    """What a wheel has to import, by the names of its files."""
    for name in names:
        top, _, rest = name.partition("/")
        if rest == "__init__.py" or (not rest and top.endswith(".py")):
            yield top.removesuffix(".py")
