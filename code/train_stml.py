#!/usr/bin/env python3
"""Metric learning without labels: STML, and the self-supervised methods that it is compared with.

python code/train_stml.py --dataset cub --model googlenet --embedding_size 512 --view 2 --sigma 3 --delta 1 --IPC 5
python code/train_stml.py --method moco --dataset cub --model resnet50 --memory-size 4096
python code/train_stml.py --dataset folder --data-dir photos --model resnet18 --embedding_size 128
python code/train_stml.py --resume-run logs/photos/RUN
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from dml.cli.entry import guarded
from dml.cli.stml import parse_stml


def main() -> None:
    command = parse_stml()
    # Here, for neither --help nor a slip of the hand needs what a run does.
    from dml.programs.self_taught import run

    run(command)


if __name__ == "__main__":
    guarded(main)
