#!/usr/bin/env python3
"""Train an embedding network on labelled images: Proxy-Anchor and its family.

python code/train.py --dataset glyphs
python code/train.py --loss Proxy_Anchor --model resnet50 --dataset cub --warm 5 --bn-freeze 1 --lr-decay-step 5
python code/train.py --resume-run logs/cub/RUN
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from dml.cli.entry import guarded
from dml.cli.train import parse_train


def main() -> None:
    command = parse_train()
    # Here, for neither --help nor a slip of the hand needs what a run does.
    from dml.programs.supervised import run

    run(command)


if __name__ == "__main__":
    guarded(main)
