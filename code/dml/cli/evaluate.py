"""The command line of evaluate.py: a checkpoint and how to judge it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dml.cli.parser import Parser, add_section
from dml.config import EvaluateConfig
from dml.data import DATASETS
from dml.evaluation.evaluator import METRICS


def parse_evaluate(arguments: Sequence[str] | None = None) -> EvaluateConfig:
    """Parse the command line of ``code/evaluate.py``; exits with status 2 and a message if it does not fit."""
    parser = Parser(
        prog="evaluate.py",
        description="Retrieval metrics of a checkpoint, ours or published, on the test split of a data set.",
    )
    add_section(parser, EvaluateConfig)
    typed = parser.parse_typed(sys.argv[1:] if arguments is None else arguments)
    try:
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in typed.items()}
        if values.get("dataset"):
            values["dataset"] = DATASETS.canonical(values["dataset"])
        for name in values.get("metrics", ()):
            METRICS.canonical(name)
        return EvaluateConfig(**values)
    except ValueError as error:
        parser.error(str(error))
