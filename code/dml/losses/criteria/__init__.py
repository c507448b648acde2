"""The criteria of the Revisiting-DML code base, on which listwise self-distillation is published, by name.

A published spelling selects the function that the published code computes, slips included; where that is not what
its paper means, the paper's form has a name of its own. A new criterion is one file here, one entry, one test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from dml.conditions import Condition, unless
from dml.losses.criteria.adversarial_separation import AdversarialSeparationLoss
from dml.losses.criteria.angular import AngularLoss
from dml.losses.criteria.arcface import ArcFaceClamped, ArcFaceLoss
from dml.losses.criteria.contrastive import ContrastiveTupleLoss
from dml.losses.criteria.histogram import HistogramLoss
from dml.losses.criteria.lifted import LiftedStructureLoss
from dml.losses.criteria.margin import MarginLoss
from dml.losses.criteria.multisimilarity import MultiSimilarityLoss
from dml.losses.criteria.npair import NPairLoss
from dml.losses.criteria.proxynca import ProxyNCADistanceLoss
from dml.losses.criteria.quadruplet import QuadrupletAsPublished, QuadrupletLoss
from dml.losses.criteria.smooth_ap import SmoothAPLoss
from dml.losses.criteria.snr import SNRLoss
from dml.losses.criteria.softmax import NormalizedSoftmaxLoss
from dml.losses.criteria.softtriplet import SoftTripleLoss, SoftTripletAsPublished
from dml.losses.criteria.triplet import TripletLoss
from dml.losses.spec import LossOption, LossSpec
from dml.ranges import above, at_least, between, unbounded

TRIPLET_MINERS = ("distance", "softhard", "random", "rho_distance", "random_distance", "parametric", "intra_random")
MARGIN_MINERS = (*TRIPLET_MINERS, "semihard")  # for losses with one margin, within which semihard looks


def _spec(build: Callable[..., nn.Module], options: Mapping[str, LossOption] | None = None, **more: Any) -> LossSpec:
    return LossSpec(build, "lsd", options or {}, **more)


def _tuple_spec(
    build: Callable[..., nn.Module], miners: tuple[str, ...], options: Mapping[str, LossOption], **more: Any
) -> LossSpec:
    return _spec(build, options, tuples=build.tuples, miners=miners, needs_positives=True, **more)


def _rate(text: str, *used_if: Condition) -> LossOption:
    """The option that sets the learning rate of a criterion's own parameters."""
    return LossOption("lr_scale", text, within=at_least(0), used_if=(*used_if, unless("scheduler", "cyclic")))


_LEARNED_BETA = (unless("loss_margin_beta_constant", True),)
_UNREGULARIZED_MINERS = ("distance", "random_distance")
_REGULARIZED = Condition(
    lambda settings: settings["miner"] not in _UNREGULARIZED_MINERS,
    "has no effect with --batch_mining {miner}, with which it is 0, as published",
)


_QUADRUPLET = {
    "loss_quadruplet_margin_alpha_1": LossOption(
        "margin_alpha_1", "margin to the triplet's negative", within=at_least(0)
    ),
    "loss_quadruplet_margin_alpha_2": LossOption(
        "margin_alpha_2", "margin to pairs of other classes", within=at_least(0)
    ),
}
_SOFT_TRIPLET = {
    "loss_softtriplet_n_centroids": LossOption("n_centroids", "centroids of each class", within=at_least(1)),
    "loss_softtriplet_margin_delta": LossOption("margin_delta", "margin δ of the own class", within=at_least(0)),
    "loss_softtriplet_gamma": LossOption("gamma", "γ of the soft-max that weighs centroids", within=above(0)),
    "loss_softtriplet_lambda": LossOption("lam", "scale λ of the similarities", within=above(0)),
    "loss_softtriplet_reg_weight": LossOption(
        "reg_weight",
        "weight of the distance between a class's centroids",
        within=at_least(0),
        used_if=(unless("loss_softtriplet_n_centroids", 1),),
    ),
    "loss_softtriplet_lrmulti": _rate("learning rate of the centroids, in multiples of --lr"),
}
_ARCFACE = {
    "loss_arcface_angular_margin": LossOption(
        "angular_margin", "margin in radians", within=between(0, math.pi, without="high")
    ),
    "loss_arcface_feature_scale": LossOption("feature_scale", "scale of the cosines", within=above(0)),
    "loss_arcface_lr": _rate("learning rate of the class vectors"),
}
_ARCFACE_RATE = {"lr_scale": 5e-4, "lr_option": "loss_arcface_lr", "lr_is_absolute": True}
_SOFT_TRIPLET_RATE = {"has_proxies": False, "lr_scale": 1.0, "lr_option": "loss_softtriplet_lrmulti"}

CRITERIA: dict[str, LossSpec] = {
    "triplet_squared": _tuple_spec(
        TripletLoss,
        MARGIN_MINERS,
        {"loss_triplet_margin": LossOption("margin", "margin of the squared distances", within=at_least(0))},
    ),
    "contrastive_tuples": _tuple_spec(
        ContrastiveTupleLoss,
        TRIPLET_MINERS,
        {
            "loss_contrastive_pos_margin": LossOption(
                "pos_margin", "distance below which positives cost nothing", within=at_least(0)
            ),
            "loss_contrastive_neg_margin": LossOption(
                "neg_margin", "distance beyond which negatives cost nothing", within=at_least(0)
            ),
        },
    ),
    "margin_per_class": _tuple_spec(
        MarginLoss,
        MARGIN_MINERS,
        {
            "loss_margin_margin": LossOption("margin", "margin around the boundary β", within=at_least(0)),
            "loss_margin_beta": LossOption(
                "beta", "boundary β between positives and negatives, where it begins", within=at_least(0)
            ),
            "loss_margin_beta_constant": LossOption("beta_constant", "do not learn β"),
            "loss_margin_nu": LossOption(
                "nu", "weight ν of Σ β", within=unbounded("its sign says which way β is to go"), used_if=_LEARNED_BETA
            ),
            "loss_margin_beta_lr": _rate("learning rate of β", *_LEARNED_BETA),
        },
        has_proxies=False,
        lr_scale=5e-4,
        lr_option="loss_margin_beta_lr",
        lr_is_absolute=True,
    ),
    "npair_penalized": _tuple_spec(
        NPairLoss,
        ("npair",),
        {
            "loss_npair_l2": LossOption("l2", "weight of the mean length of embeddings", within=at_least(0)),
            "loss_npair_divisor": LossOption(
                "divisor", "embeddings are divided by it; 4 with BN-Inception", within=above(0)
            ),
        },
        defaults_by_model={"bn_inception": {"loss_npair_divisor": 4.0}},
    ),
    "angular_with_npair": _tuple_spec(
        AngularLoss,
        ("npair",),
        {
            "loss_angular_alpha": LossOption(
                "alpha", "bound α on the angle at the negative, in degrees", within=between(0, 90, without="ends")
            ),
            "loss_angular_npair_ang_weight": LossOption(
                "angular_weight", "weight of the angular part", within=at_least(0)
            ),
            "loss_angular_npair_l2": LossOption("l2", "weight of the mean length of embeddings", within=at_least(0)),
        },
    ),
    "lifted_structure": _tuple_spec(
        LiftedStructureLoss,
        ("lifted",),
        {
            "loss_lifted_neg_margin": LossOption(
                "neg_margin", "distance at which a negative counts 1", within=at_least(0)
            ),
            "loss_lifted_l2": LossOption("l2", "weight of the mean length of embeddings", within=at_least(0)),
        },
    ),
    "signal_to_noise": _tuple_spec(
        SNRLoss,
        MARGIN_MINERS,
        {
            "loss_snr_margin": LossOption("margin", "margin of the noise-to-signal ratios", within=at_least(0)),
            "loss_snr_reg_lambda": LossOption(
                "reg_lambda",
                "weight λ of |Σ a|; 0 with distance miners, as published",
                within=at_least(0),
                used_if=(_REGULARIZED,),
            ),
        },
        fixed_by_miner={name: {"loss_snr_reg_lambda": 0.0} for name in _UNREGULARIZED_MINERS},
    ),
    "multi_similarity_per_anchor": _spec(
        MultiSimilarityLoss,
        {
            "loss_multisimilarity_pos_weight": LossOption("pos_weight", "scale of positives", within=above(0)),
            "loss_multisimilarity_neg_weight": LossOption("neg_weight", "scale of negatives", within=above(0)),
            "loss_multisimilarity_margin": LossOption(
                "margin", "how far around the hardest pair others are kept", within=at_least(0)
            ),
            "loss_multisimilarity_thresh": LossOption(
                "thresh",
                "similarity λ between positives and negatives",
                within=unbounded("similarities of embeddings of any length have no bounds"),
            ),
        },
        needs_positives=True,
    ),
    "histogram_overlap": _spec(
        HistogramLoss,
        {"loss_histogram_nbins": LossOption("nbins", "nodes of the grid on −1..1", within=at_least(2))},
        needs_positives=True,
    ),
    "softmax_normalized": _spec(
        NormalizedSoftmaxLoss,
        {
            "loss_softmax_temperature": LossOption("temperature", "by which similarities are divided", within=above(0)),
            "loss_softmax_lr": _rate("learning rate of the class vectors"),
        },
        lr_scale=1e-5,
        lr_option="loss_softmax_lr",
        lr_is_absolute=True,
    ),
    "soft_triplet_by_feature": _spec(SoftTripletAsPublished, _SOFT_TRIPLET, **_SOFT_TRIPLET_RATE),
    "softtriple": _spec(SoftTripleLoss, _SOFT_TRIPLET, **_SOFT_TRIPLET_RATE),
    "arcface_clamped": _spec(ArcFaceClamped, _ARCFACE, **_ARCFACE_RATE),
    "arcface_unclamped": _spec(ArcFaceLoss, _ARCFACE, **_ARCFACE_RATE),
    "proxy_nca_distances": _spec(
        ProxyNCADistanceLoss,
        {"loss_proxynca_lrmulti": _rate("learning rate of the proxies, in multiples of --lr")},
        lr_scale=50.0,
        lr_option="loss_proxynca_lrmulti",
        distilled_length=3.0,  # NOTE: the published proxynca_lsd distils the rows as its criterion scales them
    ),
    "smooth_ap": _spec(
        SmoothAPLoss,
        {"loss_smooth_ap_temperature": LossOption("temperature", "of the sigmoid that counts ranks", within=above(0))},
        needs_positives=True,
    ),
    "quadruplet_all_combinations": _tuple_spec(QuadrupletAsPublished, TRIPLET_MINERS, _QUADRUPLET),
    "quadruplet_sound": _tuple_spec(QuadrupletLoss, TRIPLET_MINERS, _QUADRUPLET),
    "adversarial_separation": _spec(
        AdversarialSeparationLoss,
        {
            "loss_adversarial_separation_parts": LossOption(
                "parts", "equal parts that the embedding is cut into", within=at_least(2)
            ),
            "loss_adversarial_separation_hidden": LossOption(
                "hidden", "hidden units of each regressor", within=at_least(1)
            ),
            "loss_adversarial_separation_weight": LossOption("weight", "weight of each direction", within=at_least(0)),
        },
        has_proxies=False,
        lr_scale=1.0,
        advice="adversarial_separation does not look at labels: alone it learns no metric",
    ),
}

CRITERIA_ALIASES = {  # the published spellings
    "triplet": "triplet_squared",
    "contrastive": "contrastive_tuples",
    "margin": "margin_per_class",
    "npair": "npair_penalized",
    "angular": "angular_with_npair",
    "lifted": "lifted_structure",
    "snr": "signal_to_noise",
    "multisimilarity": "multi_similarity_per_anchor",
    "histogram": "histogram_overlap",
    "softmax": "softmax_normalized",
    "softtriplet": "soft_triplet_by_feature",
    "arcface": "arcface_clamped",
    "proxynca": "proxy_nca_distances",
    "ap_loss": "smooth_ap",
    "quadruplet": "quadruplet_all_combinations",
}
