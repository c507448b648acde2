"""A measure of a network that needs no labels: whether two crops of an image find each other among those of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from lightning_fabric import Fabric

from dml.config import DataConfig
from dml.data.images import ImageDataset
from dml.data.loader import eval_loader
from dml.devices import exact_device
from dml.evaluation.embedding import FabricEmbed
from dml.evaluation.retrieval import retrieval_metrics
from dml.models import EmbeddingNet

MOST = 2_000  # images, so that figures of collections of any size compare
_SEEDS = (0, 1)  # of the two crops, the same before and after training


def agreement(
    model: EmbeddingNet, crops: ImageDataset, config: DataConfig, fabric: Fabric, *, distance: str, seed: int
) -> float:
    """R@1, 0..1, of finding an image's second crop by its first one, among the second crops of at most 2,000 random
    images. On a scale from chance, 1 in as many, to 1.

    Args:
        crops: gives random crops, as in training.
        distance: ``cosine`` or ``euclidean``.
        seed: of the choice of images.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(crops))[:MOST])
    views = [_embed(model, crops, rows, config, fabric, seed=view) for view in _SEEDS]
    number = torch.arange(len(rows), device=views[0].device)
    found = retrieval_metrics(
        views[0], number, views[1], number, recall_ks=(), metrics=("precision_at_1",), distance=distance
    )
    return found["precision_at_1"]


def _embed(
    model: EmbeddingNet, crops: ImageDataset, rows: Sequence[int], config: DataConfig, fabric: Fabric, *, seed: int
) -> torch.Tensor:
    """(N, D) of one crop of each of the images ``rows``, where exact metrics are computed."""
    batches = eval_loader(
        ImageDataset(crops.records.take(rows), crops.transform),
        batch_size=max(1, config.batch_size // fabric.world_size),
        workers=config.workers,
        device=fabric.device,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        seed=seed,
    )
    embeddings, _, indices = FabricEmbed(fabric)(model, batches, fabric.device, progress="two views")
    return embeddings[indices.argsort()].to(exact_device(fabric.device))
