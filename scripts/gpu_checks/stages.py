"""The stages of a GPU check: which programs run, how long they may, and what is read from what they leave."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
MOST_BYTES = 64 * 2**20  # of the archive
FOLDER = "gpu_check"  # that the archive unpacks to; in it:
IMAGES, WEIGHTS, WHEELS, COMMIT = "gpu_check_data/images", "gpu_check_data/weights.pth", "wheels", "COMMIT"
FEW_CLASSES, FEW_IMAGES = 8, 24


@dataclass(frozen=True)
class Setting:
    """Where and with what the steps run.

    Attributes:
        device: "cuda", or "cpu" with small sizes.
        images: class folders.
        few: a list of some of these, half of the classes to train on.
        weights: of the network.
        scratch: for what the programs write.
    """

    device: str
    images: Path
    few: Path
    weights: Path
    scratch: Path

    @property
    def is_small(self) -> bool:
        """Whether this is a rehearsal."""
        return self.device == "cpu"


@dataclass(frozen=True)
class Figure:
    """Something measured: ``value`` in ``unit``; ``ratio`` to its yardstick and its ``limit`` where there are such."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    limit: float | None = None
    ok: bool = True


@dataclass(frozen=True)
class Step:
    """A program of a stage.

    Attributes:
        name: of it.
        words: its command line.
        seconds: that it may take.
        figures: reads what it has left; raises OSError, ValueError or KeyError if that cannot be read.
        missed: the exit code that says that a limit was missed.
    """

    name: str
    words: tuple[str, ...]
    seconds: float
    figures: Callable[[], list[Figure]] = list
    missed: int | None = None


def _tests(setting: Setting) -> list[Step]:
    """The tests that need a GPU, on a CPU all of them skipped."""
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    words = ("-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", *map(str, files))
    return [Step("pytest -m gpu", (sys.executable, *words), 120)]


def _modes(setting: Setting) -> list[Step]:
    """A short training in each mode against that in float32: the loss of its epoch."""
    modes = {
        "32-true": ((), 0.0, 45),
        "bf16-mixed": (("--precision", "bf16-mixed"), 0.05, 30),
        "16-mixed": (("--precision", "16-mixed"), 0.05, 30),
        "compile": (("--compile", "1"), 0.01, 120),
    }
    if setting.is_small:
        del modes["16-mixed"]  # for GPUs alone
    steps = []
    for name, (flags, tolerance, seconds) in modes.items():
        words = training(setting, name, setting.few, *flags, "--epochs", "1", "--warm", "0", "--batch-size", "24")
        steps.append(Step(name, words, seconds, partial(_mode_figures, setting, name, tolerance)))
    return steps


def _mode_figures(setting: Setting, name: str, tolerance: float) -> list[Figure]:
    plain, own = (last(setting, run)["train/loss"] for run in ("32-true", name))
    ok = math.isfinite(own) and abs(own - plain) <= tolerance * abs(plain)
    return [Figure(f"{name}: loss against float32's", own, "", own / plain, 1 + tolerance, ok)]


def _collectives(setting: Setting) -> list[Step]:
    """What several processes exchange, with one: by NCCL on a GPU."""
    backend = "gloo" if setting.is_small else "nccl"
    return [Step(backend, (sys.executable, str(ROOT / "scripts/gpu_checks/collectives.py"), backend), 45)]


def _benchmarks(setting: Setting) -> list[Step]:
    """What of scripts/benchmark.py concerns a GPU."""
    limits = {"evaluator": 60, "neighbours": 40, "clustering": 60, "losses": 40, "miners": 20, "step": 60}
    if setting.is_small:
        limits = {"miners": 60}
    steps = []
    for name, seconds in limits.items():
        file = setting.scratch / f"{name}.json"
        flags = ("--device", setting.device, "--json", str(file), *(() if setting.is_small else ("--full",)))
        words = (sys.executable, str(ROOT / "scripts/benchmark.py"), name, *flags)
        steps.append(Step(name, words, seconds, partial(_benchmark_figures, file), missed=1))
    return steps


def _benchmark_figures(file: Path) -> list[Figure]:
    rows = json.loads(file.read_text())
    return [Figure(*(row[key] for key in ("name", "value", "unit", "ratio", "limit", "ok"))) for row in rows]


def _training(setting: Setting) -> list[Step]:
    """Proxy-Anchor on half of the classes, judged on the others after the last epoch."""
    seeds, epochs, batch, data = (0, 1, 2), "8", "120", setting.images
    if setting.is_small:
        seeds, epochs, batch, data = (0,), "2", "24", setting.few
    steps = []
    for seed in seeds:
        name = f"Proxy-Anchor, seed {seed}"
        flags = ("--precision", "bf16-mixed", "--epochs", epochs, "--batch-size", batch, "--seed", str(seed))
        words = training(setting, name, data, *flags, "--warm", "1", "--bn-freeze", "1")
        steps.append(Step(name, words, 50, partial(_training_figures, setting, name)))
    return steps


def _training_figures(setting: Setting, name: str) -> list[Figure]:
    record = last(setting, name)
    return [
        Figure(f"{name}: R@1 on classes that it has not seen", 100 * record["eval/recall_at_1"], "%"),
        Figure(f"{name}: training", record["train/images_per_second"], "images/s"),
    ]


def training(setting: Setting, name: str, data: Path, *flags: str) -> tuple[str, ...]:
    """The command of a run of that name."""
    fixed = {
        "--loss": "Proxy_Anchor",
        "--dataset": "folder",
        "--data-dir": str(data),
        "--data-name": "cars",
        "--model": "mobilenet_v2",
        "--weights": str(setting.weights),
        "--embedding-size": "128",
        "--resize": "112",
        "--crop-size": "96",
        "--workers": "0" if setting.is_small else "8",
        "--wandb": "disabled",
        "--pictures": "0",
        "--baselines": "0",
        "--log-dir": str(setting.scratch),
        "--run-name": name,
    }
    words = [word for pair in fixed.items() for word in pair]
    return (sys.executable, str(ROOT / "code/train.py"), *words, *flags)


def last(setting: Setting, name: str) -> dict[str, Any]:
    """The last epoch's record of a run; of each name its last value."""
    record: dict[str, Any] = {}
    for line in (setting.scratch / "cars" / name / "metrics.jsonl").read_text().splitlines():
        record |= json.loads(line)
    return record


STAGES: dict[str, Callable[[Setting], list[Step]]] = {
    "tests": _tests,
    "modes": _modes,
    "collectives": _collectives,
    "benchmarks": _benchmarks,
    "training": _training,
}
