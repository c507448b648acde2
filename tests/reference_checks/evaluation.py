"""Recalls, MAP@R, R-precision, NMI and F1 against what the published evaluators gave (METHODS §20).

Sets with exact copies (``*_ties``) are reported: which copy the published code drops depends on its library.
In-Shop's rule is well defined on ties and asserted.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from dml.evaluation.clustering import nmi, pair_f1
from dml.evaluation.retrieval import retrieval_metrics


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
        metrics = retrieval_metrics(query, query_labels, gallery, gallery_labels, recall_ks=recall_ks)
        _compare_recalls(vectors, compare, prefix, metrics, "ks")
        if f"{prefix}map_at_r" in vectors:
            compare(f"{prefix}map_at_r", metrics["map_at_r"], vectors[f"{prefix}map_at_r"])


CHECKS = {
    **{f"20_eval_cos_{name}": _query_is_gallery("cosine", asserted=True) for name in ("main", "large", "singletons")},
    **{f"20_eval_euclid_{name}": _query_is_gallery("euclidean", asserted=True) for name in ("main", "large")},
    **{f"20_eval_idml_{name}": _idml(asserted=True) for name in ("main", "singletons")},
    "20_eval_cos_ties": _query_is_gallery("cosine", asserted=False),
    "20_eval_euclid_ties": _query_is_gallery("euclidean", asserted=False),
    "20_eval_idml_ties": _idml(asserted=False),
    "20_eval_inshop": _inshop,
}
