"""The settings of the samplers that look at the images' features."""

from __future__ import annotations

from dataclasses import dataclass

from dml.conditions import Condition, Settings, when
from dml.config.base import Section, option, require
from dml.config.switches import by_choice
from dml.ranges import above, at_least, between

FEATURE_SAMPLERS = ("greedy_coreset", "d2_coreset", "fid_batchmatch", "disthist_batchmatch")


def _kept_from_steps(settings: Settings) -> bool:
    """Whether features of a step are still there when batches are chosen or a change is formed."""
    return not settings["data_idx_full_prec"] or settings["data_mb_mom"] > 0


KEPT_FEATURES = Condition(
    _kept_from_steps, "has no effect with --data-idx-full-prec and without --data-mb-mom: every epoch embeds anew"
)


@dataclass(frozen=True)
class FeatureSamplingConfig(Section):
    """Batches chosen by features: --sampler greedy_coreset, d2_coreset, fid_batchmatch or disthist_batchmatch."""

    switch = by_choice(
        lambda settings: settings.get("sampler") in FEATURE_SAMPLERS,
        "samplers of features",
        f"--sampler {', '.join(FEATURE_SAMPLERS)}",
    )

    data_batchmatch_bigbs: int = option(512, "images that a batch is chosen from", within=at_least(1))
    data_batchmatch_ncomps: int = option(
        10,
        "batches drawn of which the best match is taken (the two batchmatch ones)",
        within=at_least(1),
        used_if=when("sampler", "fid_batchmatch", "disthist_batchmatch", refused=True),
    )
    data_d2_coreset_lambda: float = option(
        1.0,
        "exponent of the distance in the odds (d2_coreset)",
        within=at_least(0),
        used_if=when("sampler", "d2_coreset", refused=True),
    )
    data_gc_coreset_lim: float = option(
        1e-9,
        "images nearer than this are no further choice (greedy_coreset)",
        within=at_least(0),
        used_if=when("sampler", "greedy_coreset", refused=True),
    )
    data_gc_softened: bool = option(
        False,
        "draw from the farthest 3 % instead of taking the farthest (greedy_coreset)",
        used_if=when("sampler", "greedy_coreset", refused=True),
    )
    data_sampler_lowproj_dim: int = option(
        -1, "project features at random to this many dimensions; −1: not", within=at_least(1, also=(-1,))
    )
    data_sim_measure: str = option("euclidean", "distance of features", choices=("euclidean", "cosine"))
    data_idx_full_prec: bool = option(False, "embed the training set anew before every epoch")
    data_storage_no_update: bool = option(
        False, "do not let training steps renew their images' features", used_if=KEPT_FEATURES
    )
    data_mb_mom: float = option(
        -1.0,
        "with --data_idx_full_prec, momentum of the features' change, in 0..1; −1: none",
        within=between(0, 1, without="high", also=(-1,)),
    )
    data_mb_lr: float = option(
        1.0, "with --data_mb_mom, how far features are carried on along that change", within=above(0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.data_mb_mom == -1 or self.data_idx_full_prec,
            "--data_mb_mom goes with --data_idx_full_prec: only features of whole passes have a change to carry on",
        )
        require(self.data_mb_lr == 1 or self.data_mb_mom > 0, "--data_mb_lr goes with a --data_mb_mom above 0")
