"""Label noise: training images that are given another class than their own."""

from __future__ import annotations

import dataclasses

import numpy as np

from dml.data.layout import DatasetError
from dml.data.records import LabelNoise, RetrievalData

NOISE_KINDS = ("symmetric", "pair")


def noisy_labels(
    labels: np.ndarray, num_classes: int, *, ratio: float, kind: str = "symmetric", seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which exactly round(ratio · N) are wrong.

    The two kinds are those of the literature (Patrini et al., CVPR 2017; Han et al., NeurIPS 2018).

    NOTE: the published code draws for each image alone whether its label is wrong, so that ``ratio`` is the share of
    wrong labels on average; here it is exact, and runs of different seeds are comparable. Of the two kinds it uses
    the symmetric one.

    Args:
        labels: (N,) int64 in 0..C−1.
        num_classes: C ≥ 2.
        ratio: share of images that get a wrong label, 0 ≤ ratio < 1.
        kind: "symmetric": a class drawn uniformly from the others; "pair": class c becomes c + 1, the last one 0.
        seed: of the choice.

    Returns:
        noisy labels (N,) int64, and the (F,) int64 positions of the wrong ones in ascending order.

    Raises:
        DatasetError: an unknown kind, a ratio out of range, or a single class.
    """
    if kind not in NOISE_KINDS:
        raise DatasetError(f"--noise-kind {kind!r} is not one of {', '.join(NOISE_KINDS)}")
    if not 0 <= ratio < 1:
        raise DatasetError(f"--noisy_ratio is a share of at least 0 and below 1, got {ratio}")
    if num_classes < 2:
        raise DatasetError("--noisy_label needs two training classes to confuse")
    rng = np.random.default_rng([seed, *b"label noise"])  # apart from the streams of samplers and splits
    flipped = np.sort(rng.permutation(len(labels))[: round(ratio * len(labels))])
    shift = rng.integers(1, num_classes, size=len(flipped)) if kind == "symmetric" else 1
    noisy = labels.copy()
    noisy[flipped] = (labels[flipped] + shift) % num_classes
    return noisy, flipped


def with_label_noise(data: RetrievalData, *, ratio: float, kind: str, seed: int) -> RetrievalData:
    """``data`` with wrong labels among the training images; what was done is its ``label_noise``.

    Validation and test keep their labels. Classes keep their number, also one that no image is left of.

    Raises:
        DatasetError: see ``noisy_labels``.
    """
    true = data.train.labels
    noisy, flipped = noisy_labels(true, data.train.num_classes, ratio=ratio, kind=kind, seed=seed)
    return dataclasses.replace(
        data,
        train=dataclasses.replace(data.train, labels=noisy),
        label_noise=LabelNoise(flipped, noisy[flipped], true[flipped]),
    )
