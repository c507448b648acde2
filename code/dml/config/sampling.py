"""The settings of the samplers that look at the images' features."""

from __future__ import annotations

from dataclasses import dataclass

from dml.config.base import Section, option, require

FEATURE_SAMPLERS = ("greedy_coreset", "d2_coreset", "fid_batchmatch", "disthist_batchmatch")

SAMPLER_OPTIONS = {
    "data_gc_coreset_lim": ("greedy_coreset",),
    "data_gc_softened": ("greedy_coreset",),
    "data_d2_coreset_lambda": ("d2_coreset",),
    "data_batchmatch_ncomps": ("fid_batchmatch", "disthist_batchmatch"),
}
"""Setting → the samplers that use it; those that are not here, all of ``FEATURE_SAMPLERS`` use."""


@dataclass(frozen=True)
class FeatureSamplingConfig(Section):
    """Batches chosen by features: --sampler greedy_coreset, d2_coreset, fid_batchmatch or disthist_batchmatch."""

    data_batchmatch_bigbs: int = option(512, "images that a batch is chosen from")
    data_batchmatch_ncomps: int = option(10, "batches drawn of which the best match is taken (the two batchmatch ones)")
    data_d2_coreset_lambda: float = option(1.0, "exponent of the distance in the odds (d2_coreset)")
    data_gc_coreset_lim: float = option(1e-9, "images nearer than this are no further choice (greedy_coreset)")
    data_gc_softened: bool = option(False, "draw from the farthest 3 % instead of taking the farthest (greedy_coreset)")
    data_sampler_lowproj_dim: int = option(-1, "project features at random to this many dimensions; −1: not")
    data_sim_measure: str = option("euclidean", "distance of features", choices=("euclidean", "cosine"))
    data_idx_full_prec: bool = option(False, "embed the training set anew before every epoch")
    data_storage_no_update: bool = option(False, "do not let training steps renew their images' features")
    data_mb_mom: float = option(-1.0, "with --data_idx_full_prec, momentum of the features' change, in 0..1; −1: none")
    data_mb_lr: float = option(1.0, "with --data_mb_mom, how far features are carried on along that change")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.data_mb_mom == -1 or 0 <= self.data_mb_mom < 1,
            f"--data_mb_mom must lie in [0, 1), or be −1; got {self.data_mb_mom}",
        )
        require(self.data_mb_lr > 0, f"--data_mb_lr must be positive, got {self.data_mb_lr}")
        require(
            self.data_mb_mom == -1 or self.data_idx_full_prec,
            "--data_mb_mom goes with --data_idx_full_prec: only features of whole passes have a change to carry on",
        )
        require(self.data_mb_lr == 1 or self.data_mb_mom > 0, "--data_mb_lr goes with a --data_mb_mom above 0")
