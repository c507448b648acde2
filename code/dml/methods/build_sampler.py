"""From a run's configuration to its sampler."""

from __future__ import annotations

from typing import Any

import numpy as np

from dml.config import FEATURE_SAMPLERS, FeatureSamplingConfig, TrainConfig
from dml.data.samplers import SAMPLERS, Sampler

_BY_CLASS = ("class_balanced", "balanced", "class_random", *FEATURE_SAMPLERS)


def create_sampler(config: TrainConfig, labels: np.ndarray) -> Sampler:
    """The sampler of ``--sampler``.

    Raises:
        ValueError: settings that the sampler does not have, or that the training set cannot satisfy.
    """
    data = config.data
    kind = SAMPLERS.canonical(data.sampler)
    options: dict[str, Any] = {}
    if kind in _BY_CLASS:
        if data.IPC is None:
            raise ValueError(f"--sampler {kind} needs --IPC, the images per class in a batch")
        options["images_per_class"] = data.IPC
    if kind == "power_balanced":
        options["power"] = data.p
    if kind in FEATURE_SAMPLERS:
        options |= _feature_options(kind, config.feature_sampling)
    return SAMPLERS[kind](labels, batch_size=data.batch_size, seed=config.run.seed, **options)


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
