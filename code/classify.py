#!/usr/bin/env python3
"""Train an image classifier, plain or with the introspective metric, and evaluate it.

python code/classify.py --dataset cifar100 --introspective --mix cutmix
python code/classify.py --dataset folder --data-dir photos --model resnet18 --pretrained --lr 0.01 --epochs 20
python code/classify.py --resume-run logs/cifar100/RUN
python code/classify.py --evaluate logs/cifar100/RUN/best.pt
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from dml.cli.classify import parse_classify
from dml.cli.entry import guarded


def main() -> None:
    command = parse_classify()
    # Here, for neither --help nor a slip of the hand needs what a run does.
    from dml.programs.classification import run

    run(command)


if __name__ == "__main__":
    guarded(main)
