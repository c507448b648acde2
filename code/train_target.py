#!/usr/bin/env python3
"""Embedding transfer: train a target network to relate images as a frozen source network does.

python code/train_target.py --loss Relaxed_Contra --dataset cub --model bn_inception --embedding-size 512 --IPC 3 \
    --view 2 --source-ckpt pretrained_source/bn_inception/cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth
python code/train_target.py --resume-run logs/cub/TRANSFER
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from dml.cli.entry import guarded
from dml.cli.target import parse_target


def main() -> None:
    command = parse_target()
    # Here, for neither --help nor a slip of the hand needs what a run does.
    from dml.programs.transfer import run

    run(command)


if __name__ == "__main__":
    guarded(main)
