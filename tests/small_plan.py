"""A comparison of two losses over digits that trains in seconds."""

from __future__ import annotations

from pathlib import Path

PLAN = """
[data]
flags = "--dataset cub"
[network]
flags = '''--recipe proxy_anchor --model resnet18 --pretrained 0 --embedding-size 8 --crop-size 24 --resize 24
    --freeze backbone --augment 0 --cache-features 1 --batch-size 20 --warm 0 --workers 0'''
[budget]
epochs = 2
trials = 3
[protocol]
folds = 2
seeds = [1, 2]
generation = 2
[methods.anchor]
flags = "--loss Proxy_Anchor"
[methods.anchor.search]
lr = {low = 1e-3, high = 1e-1, log = true}
mrg = {choices = [0.1, 0.3]}
[methods.plain]
flags = "--loss MS --lr 1e-2"
"""


def laid_out(digits: Path, folder: Path) -> Path:
    """``folder`` as a ``--data-dir`` with the digits in place of CUB's birds: five classes train, five test."""
    (folder / "cub200").mkdir()
    (folder / "cub200" / "images").symlink_to(digits)
    return folder
