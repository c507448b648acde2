"""Recalls, MAP@R, R-precision, NMI and F1 against what the published evaluators gave (METHODS §20).

Sets with exact copies (``*_ties``) are reported: which copy the published code drops depends on its library.
In-Shop's rule is well defined on ties and asserted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from dml.evaluation.average_precision import CUTOFFS
from dml.evaluation.clustering import nmi, pair_f1
from dml.evaluation.evaluator import evaluate_embeddings
from dml.evaluation.retrieval import retrieval_metrics
from dml.evaluation.spread import intra_class_distances, rho_spectrum, singular_values


def _tensors(vectors, *names: str) -> list[torch.Tensor]:
    return [torch.from_numpy(vectors[name]) for name in names]


def _compare_recalls(vectors, note: Callable, prefix: str, metrics: dict[str, float], ks: str) -> None:
    """All recalls stored under ``ks`` and ``<prefix>recall``, in one comparison."""
    note(f"{prefix}recall", [metrics[f"recall_at_{k}"] for k in vectors[ks].tolist()], vectors[f"{prefix}recall"])


def _query_is_gallery(distance: str, *, asserted: bool) -> Callable:
    def check(vectors, compare) -> None:
        note = compare if asserted else compare.report
        embeddings, labels = _tensors(vectors, "emb", "labels")
        lists = [("recall_ks" if "recall_ks" in vectors else "ks", "")]
        lists += [("sop_ks", "sop_")] if "sop_ks" in vectors else []
        for ks, prefix in lists:
            recall_ks = vectors[ks].tolist()
            metrics = retrieval_metrics(embeddings, labels, recall_ks=recall_ks, distance=distance)
            _compare_recalls(vectors, note, prefix, metrics, ks)
            if f"{prefix}map_at_r" in vectors:
                note(f"{prefix}map_at_r", metrics["map_at_r"], vectors[f"{prefix}map_at_r"])
        if "recall_buffer40" in vectors:
            note("recall_buffer40", [metrics[f"recall_at_{k}"] for k in recall_ks], vectors["recall_buffer40"])

    return check


def _idml(*, asserted: bool) -> Callable:
    def check(vectors, compare) -> None:
        note = compare if asserted else compare.report
        embeddings, labels = _tensors(vectors, "emb", "labels")
        # The published neighbour list ends at num_k, so that a larger k counts num_k.
        num_k = int(vectors["num_k"])
        recall_ks = [min(k, num_k) for k in vectors["recall_ks"].tolist()]
        metrics = retrieval_metrics(embeddings, labels, recall_ks=recall_ks)
        note("recall", [metrics[f"recall_at_{k}"] for k in recall_ks], vectors["recall"])
        for name in ("map_at_r", "r_precision"):
            note(name, metrics[name], vectors[name])
        for prefix in ("", "fixed__"):
            (clusters,) = _tensors(vectors, f"{prefix}cluster_labels")
            note(f"{prefix}nmi", nmi(labels, clusters), vectors[f"{prefix}nmi"])
            note(f"{prefix}f1", pair_f1(labels, clusters), vectors[f"{prefix}f1"])

    return check


def _inshop(vectors, compare) -> None:
    query, query_labels, gallery_labels = _tensors(vectors, "query", "query_labels", "gallery_labels")
    recall_ks = vectors["ks"].tolist()
    for prefix in ("", "ties__"):
        (gallery,) = _tensors(vectors, f"{prefix}gallery")
        given = (query, query_labels, gallery, gallery_labels)
        metrics = retrieval_metrics(*given, recall_ks=recall_ks, ties_count_for_query=True)
        _compare_recalls(vectors, compare, prefix, metrics, "ks")
        if f"{prefix}map_at_r" in vectors:
            compare(f"{prefix}map_at_r", metrics["map_at_r"], vectors[f"{prefix}map_at_r"])


# The published length of a list of neighbours, from the number of images; mAP_c never asks for more than there are.
LIST_LENGTHS = {"mAP": lambda num: num, "mAP_lim": lambda num: min(1023, num), "mAP_1000": lambda num: 1000}


def _phantoms(labels: torch.Tensor, length: int) -> float:
    """What the published neighbours beyond the last one are worth (METHODS §20, −1 quirk).

    A list of R > N − 1 neighbours ends with R + 1 − N copies of the last image. For each query of that image's
    class, of n members, the t-th of them is hit number n − 1 + t at position N − 1 + t.
    """
    num, size = len(labels), int((labels == labels[-1]).sum())
    copy = torch.arange(1, max(0, length + 1 - num) + 1).double()
    return float(((size - 1 + copy) / (num - 1 + copy)).sum() / num)


def _published_intra(per_class: torch.Tensor) -> float:
    """The published mean: a class of one image gets the value that a slip picks (METHODS §20)."""
    missing = per_class.isnan()
    candidates = [per_class[1]] * bool((~missing).any()) + [per_class[0]] * bool(missing.any())
    return float(per_class.where(~missing, torch.stack(candidates).max()).mean())


def _revisiting(*, asserted: bool) -> Callable:
    """All metrics by name. Average precision is compared with the phantom neighbours' worth added."""

    def check(vectors, compare) -> None:
        embeddings, labels, clusters = _tensors(vectors, "emb", "labels", "fixed__cluster_labels")
        names = [key.replace("_at_", "@") for key in vectors.files if key.startswith(("e_recall_", "c_recall_"))]
        names += [prefix + name for prefix in ("", "c_") for name in CUTOFFS if prefix + name in vectors]
        names += [f"dists@{name}" for name in ("inter", "intra", "intra_over_inter")]
        ours = evaluate_embeddings(embeddings, labels, recall_ks=(), metrics=names)
        for name, length in LIST_LENGTHS.items():
            for key in {name, f"c_{name}"} & ours.keys():
                ours[key] += _phantoms(labels, length(len(labels)))
        ours["dists_at_intra"] = _published_intra(intra_class_distances(embeddings, labels))
        ours["dists_at_intra_over_inter"] = ours["dists_at_intra"] / ours["dists_at_inter"]
        for key, value in ours.items():
            # Where the slip picks a singleton's value, there is none.
            sound = np.isfinite(value) if key.startswith("dists") else asserted
            (compare if sound else compare.report)(key, value, vectors[key])
        compare("fixed__nmi", nmi(labels, clusters), vectors["fixed__nmi"])
        compare("fixed__f1", pair_f1(labels, clusters), vectors["fixed__f1"])
        _compare_spectra(vectors, compare, embeddings)

    return check


def _compare_spectra(vectors, compare, embeddings: torch.Tensor) -> None:
    """The published spectra come from float32 decompositions: all values, and without the smallest."""
    values = singular_values(embeddings)
    for prefix, kept in (("rho_spectrum_at_", values[:-1]), ("rho_spectrum_torchsvd_at_", values)):
        for key in (key for key in vectors.files if key.startswith(prefix)):
            number = int(key.removeprefix(prefix).replace("m", "-"))
            compare(key, rho_spectrum(kept, number), vectors[key], rtol=1e-4, atol=1e-6)


CHECKS = {
    **{f"20_eval_revisiting_{name}": _revisiting(asserted=True) for name in ("main", "large", "singletons")},
    "20_eval_revisiting_ties": _revisiting(asserted=False),
    **{f"20_eval_cos_{name}": _query_is_gallery("cosine", asserted=True) for name in ("main", "large", "singletons")},
    **{f"20_eval_euclid_{name}": _query_is_gallery("euclidean", asserted=True) for name in ("main", "large")},
    **{f"20_eval_idml_{name}": _idml(asserted=True) for name in ("main", "singletons")},
    "20_eval_cos_ties": _query_is_gallery("cosine", asserted=False),
    "20_eval_euclid_ties": _query_is_gallery("euclidean", asserted=False),
    "20_eval_idml_ties": _idml(asserted=False),
    "20_eval_inshop": _inshop,
}
