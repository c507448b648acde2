"""From a run's configuration to its sampler, and to batches that a user's own images fill."""

from __future__ import annotations

import math
import warnings
from collections.abc import Container
from dataclasses import replace
from typing import Any

import numpy as np

from dml.config import FEATURE_SAMPLERS, ConfigWarning, FeatureSamplingConfig, TrainConfig
from dml.data.class_members import check_images_per_class
from dml.data.own_images import counted
from dml.data.samplers import SAMPLERS, Sampler
from dml.errors import Note, UserError

_DISTINCT_CLASSES = ("class_balanced", "balanced")
_BY_CLASS = (*_DISTINCT_CLASSES, "class_random", *FEATURE_SAMPLERS)


def create_sampler(config: TrainConfig, labels: np.ndarray) -> Sampler:
    """The sampler of ``--sampler``.

    Raises:
        UserError: settings that the sampler does not have, or that the training set cannot satisfy.
    """
    check_sampler(config)
    data, kind = config.data, sampler_kind(config)
    options: dict[str, Any] = {}
    if kind in _BY_CLASS:
        options["images_per_class"] = data.IPC
    if kind == "power_balanced":
        options["power"] = data.p
    if kind in FEATURE_SAMPLERS:
        options |= _feature_options(kind, config.feature_sampling)
    return SAMPLERS[kind](labels, batch_size=data.batch_size, seed=config.run.seed, **options)


def check_sampler(config: TrainConfig) -> None:
    """UserError for what no training set could satisfy: a sampler of features in a program that keeps none, images of
    a class that are not numbered, or of which no batch has room for so many."""
    data, kind = config.data, sampler_kind(config)
    if kind in FEATURE_SAMPLERS and config.feature_sampling is None:
        raise UserError(
            f"--sampler {kind} chooses by features of the training set, which {config.program} does not keep; train.py"
            " does"
        )
    if kind in _BY_CLASS:
        if data.IPC is None:
            raise UserError(f"--sampler {kind} needs --IPC, the images per class in a batch")
        check_images_per_class(data.batch_size, data.IPC)


def sampler_kind(config: TrainConfig) -> str:
    """The sampler's name in ``SAMPLERS``."""
    return SAMPLERS.canonical(config.data.sampler)


def fit_batches(
    config: TrainConfig, labels: np.ndarray, *, world_size: int = 1, typed: Container[str] = ()
) -> TrainConfig:
    """``config`` with batches that a user's own training set fills, where it asks for larger ones.

    A batch keeps its images per class and has fewer classes; only where two classes do not fit, fewer images of each.
    Likewise of images with their neighbours, of which one is enough.
    Settings of named data sets are left alone, and what no batch can satisfy is left to the sampler's error.

    Args:
        labels: (N,) int64 of the training set.
        world_size: processes, which share a batch equally.
        typed: names of the settings that flags say.

    Warns:
        ConfigWarning: batches are smaller than flags asked for; it says how large they are. Note: than by default.
    """
    if config.data.dataset != "folder":
        return config
    size, batch_size, images = _group_size(config), config.data.batch_size, len(labels)
    asked = most = batch_size // size
    fits = batch_size <= images
    if config.self_taught is None and (kind := sampler_kind(config)) in _DISTINCT_CLASSES:
        most = min(asked, len(np.unique(labels)))
        # The balanced sampler cuts a stream of whole groups, which may be shorter than one batch.
        fits &= most == asked and (kind != "balanced" or images // batch_size * asked * size >= batch_size)
    if fits or not asked:
        return config
    fewest = 2 if config.self_taught is None else 1
    groups = min(most, images // size)
    if groups < fewest <= images:
        groups, size = fewest, min(size, images // fewest)
    step = world_size // math.gcd(world_size, size)
    groups = groups // step * step
    if not groups:
        return config
    asked_for = any(name in typed for name in ("batch_size", "IPC", "num_neighbors"))
    warnings.warn(_told(config, labels, groups, size), ConfigWarning if asked_for else Note)
    config = replace(config, data=replace(config.data, batch_size=groups * size))
    if _group_size(config) == size:
        return config
    if config.self_taught is not None:
        return replace(config, self_taught=replace(config.self_taught, num_neighbors=size))
    return replace(config, data=replace(config.data, IPC=size))


def _group_size(config: TrainConfig) -> int:
    """Images of a batch that belong together: of a class, or an image and its neighbours."""
    if config.self_taught is not None:
        return config.self_taught.num_neighbors if config.loss.loss == "stml" else 1
    return config.data.IPC or 1 if sampler_kind(config) in _BY_CLASS else 1


def _told(config: TrainConfig, labels: np.ndarray, groups: int, size: int) -> str:
    asked, there = f"--batch-size {config.data.batch_size}", f"{len(labels)} images"
    batch = f"batches of {groups * size}"
    if config.self_taught is None:
        there += f" of {len(np.unique(labels))} classes"
        flag, group = "--IPC", counted(groups, "class", "classes")
    else:
        flag, group = "--num-neighbors", counted(groups, "neighbourhood", "neighbourhoods")
    if (asked_size := _group_size(config)) > 1:
        asked += f" with {flag} {asked_size}"
        batch += f", {group} of {size}"
    return f"{asked} is more than the training set of {there} fills: {batch}"


def _feature_options(kind: str, settings: FeatureSamplingConfig) -> dict[str, Any]:
    options: dict[str, Any] = {
        "pool_size": settings.data_batchmatch_bigbs,
        "projection_size": settings.data_sampler_lowproj_dim,
        "similarity": settings.data_sim_measure,
    }
    if kind == "greedy_coreset":
        return options | {"limit": settings.data_gc_coreset_lim, "softened": settings.data_gc_softened}
    if kind == "d2_coreset":
        return options | {"exponent": settings.data_d2_coreset_lambda}
    return options | {"num_candidates": settings.data_batchmatch_ncomps}
