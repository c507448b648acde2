"""Criterion vectors: METHODS §17, and what §16 adds self-distillation to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from dml.losses import LOSSES
from dml.losses.regularizers.adversarial_separation import AdversarialSeparation
from dml.miners import PairSets, Triplets
from reference_checks.losses import variants

# Published spelling → {argument of the criterion: key of the vectors}.
ARGUMENTS: dict[str, dict[str, str]] = {
    "triplet": {"margin": "margin"},
    "contrastive": {"pos_margin": "pos_margin", "neg_margin": "neg_margin"},
    "margin": {"margin": "margin", "nu": "nu", "beta": "beta_init", "beta_constant": "beta_constant"},
    "npair": {"l2": "l2"},
    "angular": {"alpha": "alpha_deg", "angular_weight": "npair_ang_weight", "l2": "l2"},
    "lifted": {"neg_margin": "neg_margin", "l2": "l2"},
    "snr": {"margin": "margin", "reg_lambda": "reg_lambda"},
    "multisimilarity": {key: key for key in ("pos_weight", "neg_weight", "margin", "thresh")},
    "histogram": {"nbins": "nbins"},
    "softmax": {"temperature": "temperature"},
    "softtriplet": {key: key for key in ("n_centroids", "margin_delta", "gamma", "lam", "reg_weight")},
    "arcface": {"angular_margin": "angular_margin", "feature_scale": "feature_scale"},
    "proxynca": {},
    "ap_loss": {"temperature": "anneal"},
    "quadruplet": {"margin_alpha_1": "alpha_1", "margin_alpha_2": "alpha_2"},
}
# Published parameter → ours.
PARAMETERS = {"beta": "beta", "class_map": "proxies", "proxies": "proxies", "intra_class_centroids": "centroids"}

Variant = Mapping[str, object]


def variant_of(vectors, prefix: str) -> dict[str, object]:
    """One variant's arrays by their bare keys: single values and texts as Python's."""
    arrays = {key.split("__", 1)[1]: vectors[key] for key in vectors.files if key.startswith(f"{prefix}__")}
    plain = {key: array.tolist() for key, array in arrays.items() if array.ndim == 0 or array.dtype.kind == "U"}
    return {key: plain[key] if key in plain else torch.tensor(array) for key, array in arrays.items()}


def rank_loss(spelling: str, variant: Variant, embeddings: Tensor) -> tuple[Tensor, nn.Module]:
    """A published criterion in float64 over one variant's labels, tuples and parameters.

    Returns:
        The loss, and the criterion, whose parameters have gradients after ``backward``.
    """
    criterion = build(spelling, variant, embeddings.shape[1])
    labels = variant["labels"]
    if "fourth_negatives" in variant:
        triplets, fourth = Triplets(*variant["triplets"].T), variant["fourth_negatives"]
        return criterion.with_fourth(embeddings, triplets, fourth, torch.ones_like(fourth, dtype=torch.bool)), criterion
    if not LOSSES[spelling].tuples:
        return criterion(embeddings, labels), criterion
    return criterion(embeddings, labels, tuples_of(variant)), criterion


def build(spelling: str, variant: Variant, embedding_size: int) -> nn.Module:
    """The criterion with a variant's settings and parameters."""
    arguments = {name: variant[key] for name, key in ARGUMENTS[spelling].items() if key in variant}
    spec, miner = LOSSES[spelling], "distance" if variant.get("miner_is_distance") else None
    arguments |= spec.arguments({}, miner=miner)
    if variant.get("divide_by_4"):
        arguments["divisor"] = 4.0
    num_classes = variant.get("n_classes", int(variant["labels"].max()) + 1)
    criterion = spec.build(num_classes=num_classes, embedding_size=embedding_size, **arguments).double()
    for theirs, ours in PARAMETERS.items():
        if f"param_{theirs}" in variant:
            with torch.no_grad():
                parameter = getattr(criterion, ours)
                parameter.copy_(as_ours(variant[f"param_{theirs}"], parameter))
    return criterion


def as_ours(values: Tensor, parameter: Tensor) -> Tensor:
    """Published (D, C·K) centroids, class by class, as our (C, K, D); other parameters as they are."""
    return values.T.reshape(parameter.shape) if parameter.ndim == 3 else values


def tuples_of(variant: Variant) -> Triplets | PairSets:
    """The explicit tuples of a variant."""
    if "triplets" in variant:
        return Triplets(*variant["triplets"].T)
    anchors, size = variant["anchors"], len(variant["labels"])
    positives = variant.get("positive_mask")
    if positives is None:
        positives = nn.functional.one_hot(variant["positives"], size)
    negatives = variant.get("negative_mask")
    if negatives is None:
        negatives = torch.zeros(len(anchors), size).scatter(1, variant["negatives"], 1.0)
    return PairSets(anchors, positives.bool(), negatives.bool())


def compare_parameters(compare, prefix: str, variant: Variant, criterion: nn.Module) -> None:
    """Gradients of the criterion's parameters after ``backward``."""
    for theirs, ours in PARAMETERS.items():
        if f"grad_{theirs}" in variant:
            parameter = getattr(criterion, ours)
            expected = as_ours(variant[f"grad_{theirs}"], parameter)
            compare(f"{prefix} grad_{theirs}", parameter.grad, expected, 1e-5, 1e-7)


def criterion_check(spelling: str) -> Callable:
    """Loss and all gradients of a file of §17."""

    def check(vectors, compare) -> None:
        for prefix in variants(vectors):
            variant = variant_of(vectors, prefix)
            embeddings = variant["emb"].requires_grad_()
            result, criterion = rank_loss(spelling, variant, embeddings)
            result.backward()
            compare(f"{prefix} loss", result, variant["loss"])
            compare(f"{prefix} grad_emb", embeddings.grad, variant["grad_emb"], 1e-5, 1e-7)
            compare_parameters(compare, prefix, variant, criterion)

    return check


def adversarial_separation(vectors, compare) -> None:
    """Loss, reversed gradients of the features, plain ones of the regressors."""
    for prefix in variants(vectors):
        variant = variant_of(vectors, prefix)
        features = {
            key.removeprefix("feat_"): value.requires_grad_()
            for key, value in variant.items()
            if key.startswith("feat_")
        }
        directions = [tuple(text.split("-")) for text in variant["directions"]]
        loss = AdversarialSeparation(
            feature_size=next(iter(features.values())).shape[1],
            directions=directions,
            weights=variant["weights"].tolist(),
            hidden=variant["proj_dim"],
        ).double()
        for (source, target), regressor in zip(directions, loss.regressors, strict=True):
            keys = {name: f"{source}_to_{target}_{name.replace('.', '_')}" for name in regressor.state_dict()}
            regressor.load_state_dict({name: variant[f"param_{key}"] for name, key in keys.items()})
        result = loss(features)
        result.backward()
        compare(f"{prefix} loss", result, variant["loss"])
        for name, values in features.items():
            expected = variant[f"grad_feat_{name}"]
            gradient = torch.zeros_like(values) if values.grad is None else values.grad
            compare(f"{prefix} grad_feat_{name}", gradient, expected, 1e-5, 1e-7)
        for (source, target), regressor in zip(directions, loss.regressors, strict=True):
            for name, parameter in regressor.named_parameters():
                key = f"grad_{source}_to_{target}_{name.replace('.', '_')}"
                compare(f"{prefix} {key}", parameter.grad, variant[key], 1e-5, 1e-7)


CHECKS = {
    "17_smooth_ap" if spelling == "ap_loss" else f"17_{spelling}": criterion_check(spelling) for spelling in ARGUMENTS
} | {"17_adversarial_separation": adversarial_separation}
