#!/usr/bin/env python3
"""Compare methods fairly: equal trials and epochs, folds over training classes, seeds, one look at the test classes.

python code/compare.py plans/glyphs.toml --jobs 2
python code/compare.py plans/cub.toml --status
python code/compare.py plans/cub.toml --submit slurm --jobs 10 --slurm time=240 gpus_per_node=1
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from dml.cli.compare import parse_compare
from dml.cli.entry import guarded


def main() -> None:
    command = parse_compare()
    # Here, for neither --help nor a slip of the hand needs what a run does.
    from dml.programs.compare import run

    run(command)


if __name__ == "__main__":
    guarded(main)
