#!/usr/bin/env python3
"""The published name of train_stml.py, which does the same: metric learning without labels.

python code/main.py --dataset cub --model googlenet --embedding_size 512 --view 2 --sigma 3 --delta 1 --IPC 5
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from dml.cli.entry import guarded
from train_stml import main

if __name__ == "__main__":
    guarded(main)
