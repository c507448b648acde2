"""What the benchmarks share: rows, interleaved timing, peak memory."""

from __future__ import annotations

import multiprocessing
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Options:
    """How to run.

    Attributes:
        device: where the tensors live.
        threads: CPU threads.
        full: whether rows that take long run too.
    """

    device: torch.device
    threads: int
    full: bool


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        name: what was measured.
        value: the measurement, in ``unit``.
        yardstick: what it is held against, in ``unit``; None without one.
        ratio: how the two compare; the benchmark says which way round.
        limit: bound of the ratio, or of the value where there is no yardstick; None: no bound.
        ok: whether the bound is kept.
    """

    name: str
    value: float
    unit: str
    yardstick: float | None = None
    ratio: float | None = None
    limit: float | None = None
    ok: bool = True

    @classmethod
    def cost(
        cls, name: str, value: float, unit: str, *, yardstick: float | None = None, limit: float | None = None
    ) -> Row:
        """Less is better: ratio = value / yardstick, at most ``limit``."""
        ratio = None if yardstick is None else value / yardstick
        judged = value if ratio is None else ratio
        return cls(name, value, unit, yardstick, ratio, limit, limit is None or judged <= limit)

    @classmethod
    def speedup(cls, name: str, value: float, unit: str, *, yardstick: float, limit: float | None = None) -> Row:
        """Of two durations, how often the first fits into the second: ratio = yardstick / value, at least
        ``limit``."""
        ratio = yardstick / value
        return cls(name, value, unit, yardstick, ratio, limit, limit is None or ratio >= limit)


def interleaved_seconds(
    *functions: Callable[[], Any], repeats: int, device: torch.device, warm_up: bool = True
) -> list[float]:
    """Median duration of each function, called in turns so that a busy spell of the machine hits all."""
    seconds: list[list[float]] = [[] for _ in functions]
    for turn in range(repeats + warm_up):
        for function, durations in zip(functions, seconds, strict=True):
            _synchronize(device)
            start = time.perf_counter()
            function()
            _synchronize(device)
            if turn >= warm_up:
                durations.append(time.perf_counter() - start)
    return [statistics.median(durations) for durations in seconds]


def cpu_seconds(*functions: Callable[[], Any], repeats: int) -> list[float]:
    """Least processor time of each function, all threads together, called in turns: what other work on the machine
    disturbs least."""
    seconds = [float("inf")] * len(functions)
    for _ in range(repeats):
        for place, function in enumerate(functions):
            start = time.process_time()
            function()
            seconds[place] = min(seconds[place], time.process_time() - start)
    return seconds


def cpu_and_wall_seconds(*functions: Callable[[], Any], repeats: int) -> list[tuple[float, float]]:
    """Of each function the least processor time, all threads together, and the least duration; called in turns."""
    least = [(float("inf"), float("inf"))] * len(functions)
    for _ in range(repeats):
        for place, function in enumerate(functions):
            start = time.process_time(), time.perf_counter()
            function()
            spent = time.process_time() - start[0], time.perf_counter() - start[1]
            least[place] = min(least[place][0], spent[0]), min(least[place][1], spent[1])
    return least


def peak_memory_gb(prepare: Callable[[torch.device], Any], work: Callable[[Any], Any], options: Options) -> float:
    """How far ``work(prepare(device))`` raises the peak of a fresh process above what ``prepare`` needed, in GB.

    Resident memory on a CPU (Linux only), allocated memory on a GPU. Both functions must be importable by name.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_peak_memory_gb, prepare, work, options).result()


def _peak_memory_gb(prepare: Callable, work: Callable, options: Options) -> float:
    torch.set_num_threads(options.threads)
    data = prepare(options.device)
    before = _peak_bytes(options.device)
    work(data)
    return (_peak_bytes(options.device) - before) / 1e9


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # The peak that getrusage reports is inherited from the parent process; this one (Linux) is not.
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak[1]) * 1024


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
