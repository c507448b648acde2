"""The benchmarks of scripts/benchmark.py: a new one is a module here and a line below."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks import (
    backbones,
    clustering,
    criteria,
    evaluator,
    idml,
    large_data,
    loader,
    losses,
    lsd,
    memory,
    miners,
    neighbours,
    proxy_isa,
    scale,
    search,
    step,
    stml,
    transfer,
)
from benchmarks.measure import Options, Row
from dml.registry import Registry

BENCHMARKS: Registry[Callable[[Options], Iterator[Row]]] = Registry(
    "benchmark",
    {
        "evaluator": evaluator.rows,
        "neighbours": neighbours.rows,
        "clustering": clustering.rows,
        "losses": losses.rows,
        "criteria": criteria.rows,
        "miners": miners.rows,
        "proxy_isa": proxy_isa.rows,
        "lsd": lsd.rows,
        "idml": idml.rows,
        "loader": loader.rows,
        "large_data": large_data.rows,
        "memory": memory.rows,
        "step": step.rows,
        "backbones": backbones.rows,
        "transfer": transfer.rows,
        "stml": stml.rows,
        "search": search.rows,
        "scale": scale.rows,
    },
)
