"""Sampler files (METHODS §19): sizes and probabilities are compared, the drawn indices are examples of invariants."""

from __future__ import annotations

import numpy as np

from dml.data.samplers import BalancedSampler, ClassBalancedBatchSampler, ClassRandomSampler, PowerBalancedSampler
from reference_checks.losses import variants


def class_balanced(vectors, compare) -> None:
    """Batches, their length, and distinct classes with the same number of images each.

    NOTE: the label that a published variant leaves out (``ignore_index``) is a label like others here.
    """
    labels = vectors["ys"]
    for v in variants(vectors):
        images = int(vectors[f"{v}__images_per_class"])
        size = int(vectors[f"{v}__batch_size"])
        sampler = ClassBalancedBatchSampler(labels, batch_size=size, images_per_class=images)
        plan = sampler.plan(0)
        compare(f"{v} batches", plan.shape[0], vectors[f"{v}__n_batches"])
        compare(f"{v} effective batch", plan.shape[1], vectors[f"{v}__effective_batch"])
        compare(f"{v} classes per batch", sampler.classes_per_batch, vectors[f"{v}__classes_per_batch"])
        for source, batches in (("ours", plan), ("published", vectors[f"{v}__batches"])):
            drawn = labels[batches].reshape(len(batches), -1, images)
            distinct = [len(np.unique(row[:, 0])) for row in drawn]
            compare(f"{v} {source} grouped", (drawn == drawn[..., :1]).all(), True)
            compare(f"{v} {source} distinct", distinct, [sampler.classes_per_batch] * len(batches))


def balanced(vectors, compare) -> None:
    """The stream's length before it is cut, and its groups where they align with batches."""
    labels = vectors["ys"]
    for v in variants(vectors):
        size, images = int(vectors[f"{v}__batch_size"]), int(vectors[f"{v}__images_per_class"])
        sampler = BalancedSampler(labels, batch_size=size, images_per_class=images)
        stream = sampler.num_batches * sampler.classes_per_batch * images
        compare(f"{v} stream", stream, vectors[f"{v}__n_indices"])
        compare(f"{v} groups per batch", sampler.classes_per_batch, vectors[f"{v}__groups_per_batch"])
        compare(f"{v} batches", sampler.num_batches, vectors[f"{v}__n_batches_internal"])
        plan = sampler.plan(0)
        compare(f"{v} whole batches", plan.shape, [stream // size, size])
        groups = labels[plan.ravel()[: stream // size * size // images * images]].reshape(-1, images)
        compare(f"{v} groups are of one class", (groups == groups[:, :1]).all(), True)


def power_balanced(vectors, compare) -> None:
    """Class probabilities, stream length, and frequencies over many batches within 5 standard errors."""
    labels = vectors["ys"]
    for v in variants(vectors):
        size = int(vectors[f"{v}__batch_size"])
        images, power = int(vectors[f"{v}__images_per_class"]), float(vectors[f"{v}__p"])
        if not bool(vectors[f"{v}__enable_power"]):
            sampler = ClassBalancedBatchSampler(labels, batch_size=size, images_per_class=images)
            compare(f"{v} stream", sampler.plan(0).size, vectors[f"{v}__n_indices"])
            continue
        sampler = PowerBalancedSampler(labels, batch_size=size, power=power)
        compare(f"{v} stream", sampler.plan(0).size, vectors[f"{v}__n_indices"])
        weights = vectors[f"{v}__weights"]
        compare(f"{v} probabilities", sampler.probabilities, weights / weights.sum())
        drawn = np.concatenate([sampler.plan(epoch).ravel() for epoch in range(500)])
        frequency = np.bincount(labels[drawn], minlength=len(weights)) / len(drawn)
        error = np.sqrt(sampler.probabilities / len(drawn))
        compare(f"{v} frequencies", (np.abs(frequency - sampler.probabilities) < 5 * error).all(), True)


def class_random(vectors, compare) -> None:
    """Number and size of batches, and groups of one class.

    NOTE: an empty class shortens the published batches; ours has none, as records number the classes they hold.
    """
    labels = vectors["ys"]
    for v in variants(vectors):
        size, images = int(vectors[f"{v}__batch_size"]), int(vectors[f"{v}__samples_per_class"])
        sampler = ClassRandomSampler(labels, batch_size=size, images_per_class=images)
        plan, groups = sampler.plan(0), size // images
        compare(f"{v} batches", len(plan), vectors[f"{v}__length"])
        if not bool(vectors[f"{v}__has_empty_class"]):
            compare(f"{v} batch sizes", [len(batch) for batch in plan], vectors[f"{v}__batch_lengths"])
        full = vectors[f"{v}__batches"][vectors[f"{v}__batch_lengths"] == groups * images][:, : groups * images]
        for source, batches in (("ours", plan), ("published", full)):
            drawn = labels[batches].reshape(len(batches), groups, images)
            compare(f"{v} {source} grouped", (drawn == drawn[..., :1]).all(), True)


CHECKS = {
    "19_sampler_class_random": class_random,
    "19_sampler_class_balanced_batch": class_balanced,
    "19_sampler_balanced": balanced,
    "19_sampler_power_balanced": power_balanced,
}
