"""14_stml_nn_sampler: the neighbours of every image, and the structure of the batches made of them."""

from __future__ import annotations

import numpy as np
import torch

from dml.data.neighbours_plan import neighbour_plan
from dml.neighbours import nearest_neighbours
from dml.normalize import l2_normalize_clamped
from reference_checks.losses import variants


def check(vectors, compare) -> None:
    for v in variants(vectors):
        embeddings = torch.from_numpy(vectors[f"{v}__emb"])
        if bool(vectors[f"{v}__is_norm"]):
            embeddings = l2_normalize_clamped(embeddings)
        num_neighbours = int(vectors[f"{v}__nn_per_image"])
        indices, distances = nearest_neighbours(embeddings, embeddings, num_neighbours, distance="euclidean")
        compare(f"{v} neighbours", indices, vectors[f"{v}__nn_matrix"], rtol=0, atol=0)
        # Our distances are float32, and the published squares come from an expansion that leaves 1e-16 of zero.
        compare(f"{v} distances", distances.square(), vectors[f"{v}__dist_matrix"], rtol=1e-6, atol=1e-8)
        _check_plan(v, vectors, indices.numpy(), compare)


def _check_plan(v: str, vectors, neighbours: np.ndarray, compare) -> None:
    plan = neighbour_plan(neighbours, batch_size=int(vectors[f"{v}__batch_size"]), seed=0, epoch=0)
    published = vectors[f"{v}__example_batches"]
    compare(f"{v} batches", len(plan), vectors[f"{v}__length"])
    compare(f"{v} batch size", plan.shape[1], published.shape[1])
    for name, batches in (("plan", plan), ("published", published)):
        groups = batches.reshape(len(batches), -1, neighbours.shape[1])
        queries = groups[..., 0]
        distinct = [len(np.unique(row)) for row in queries]
        compare(f"{v} {name} queries", distinct, np.full(len(batches), vectors[f"{v}__queries_per_batch"]))
        compare(f"{v} {name} groups", groups, neighbours[queries], rtol=0, atol=0)


CHECKS = {"14_stml_nn_sampler": check}
