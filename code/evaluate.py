#!/usr/bin/env python3
"""Retrieval metrics of a checkpoint, ours or published, on the test split of a data set.

Of images without classes, which nothing judges: embeddings and pictures.

python code/evaluate.py --ckpt logs/cub/RUN/best.pt
python code/evaluate.py --ckpt cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth --dataset cub --json metrics.json
python code/evaluate.py --ckpt logs/photos/RUN/best.pt --data-dir new_photos --save-embeddings new.npz --gallery new.png
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from dml.cli.entry import guarded
from dml.cli.evaluate import parse_evaluate


def main() -> None:
    config = parse_evaluate()
    # Here, for neither --help nor a slip of the hand needs what a run does.
    from dml.programs.evaluation import run

    run(config)


if __name__ == "__main__":
    guarded(main)
