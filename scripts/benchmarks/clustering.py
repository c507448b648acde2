"""k-means against scikit-learn's where that finishes, and at the size of Stanford Online Products' test half."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from benchmarks.evaluator import NUM_CLASSES, NUM_IMAGES, clustered, sop_like
from benchmarks.measure import Options, Row, interleaved_seconds
from dml.evaluation.clustering import kmeans, nmi

SMALL_IMAGES, SMALL_CLASSES, SMALL_DIMENSIONS = 6_000, 1_100, 128
SEEDS = range(4)  # a single run's NMI varies by 0.1 points
NMI_LIMIT_POINTS, LARGE_LIMIT_S = 0.5, 600.0


def rows(options: Options) -> Iterator[Row]:
    """How far NMI lies from scikit-learn's, the time beside its; with ``--full`` the time of the large set."""
    embeddings, labels = clustered(SMALL_IMAGES, SMALL_CLASSES, options.device, dimensions=SMALL_DIMENSIONS)
    on_cpu = embeddings.cpu().numpy()
    ours: list[Tensor] = []
    theirs: list[Tensor] = []

    def run_ours() -> None:
        ours[:] = [kmeans(embeddings, SMALL_CLASSES, seed=seed) for seed in SEEDS]

    def run_theirs() -> None:
        runs = [KMeans(SMALL_CLASSES, n_init=1, random_state=seed).fit(on_cpu) for seed in SEEDS]
        theirs[:] = [torch.from_numpy(run.labels_) for run in runs]

    once = {"repeats": 1, "device": options.device, "warm_up": False}
    seconds, yardstick = interleaved_seconds(run_ours, run_theirs, **once)
    name = f"k-means: {SMALL_IMAGES:,} × {SMALL_DIMENSIONS}, {SMALL_CLASSES:,} clusters"
    yield Row.cost(name, seconds / len(SEEDS), "s", yardstick=yardstick / len(SEEDS), limit=1.0)
    points, expected = (100 * statistics.mean(nmi(labels, run) for run in runs) for runs in (ours, theirs))
    yield Row.cost("k-means: NMI from scikit-learn's", abs(points - expected), "points", limit=NMI_LIMIT_POINTS)
    if options.full:
        embeddings, _ = sop_like(options.device)
        (seconds,) = interleaved_seconds(lambda: kmeans(embeddings, NUM_CLASSES), **once)
        yield Row.cost(f"k-means: {NUM_IMAGES:,} × 512, {NUM_CLASSES:,} clusters", seconds, "s", limit=LARGE_LIMIT_S)
