"""The defining order of neighbours and what metrics make of it, slowly and plainly: all pairs at once, then loops."""

from __future__ import annotations

import numpy as np


def plain_scores(query: np.ndarray, gallery: np.ndarray, distance: str) -> np.ndarray:
    """(Q, N) float64 of rows (Q, D) and (N, D)."""
    query, gallery = query.astype(np.float64), gallery.astype(np.float64)
    if distance == "euclidean":
        return -fixed_sum((query[:, None] - gallery) ** 2)
    query, gallery = (rows / np.sqrt(fixed_sum(rows * rows) + 1e-12)[:, None] for rows in (query, gallery))
    return fixed_sum(query[:, None] * gallery)


def fixed_sum(terms: np.ndarray) -> np.ndarray:
    """Sums over the last axis: the last half is added to the first until one is left."""
    while (width := terms.shape[-1]) > 1:
        half = width // 2
        tail = np.zeros_like(terms[..., : width - half])
        tail[..., :half] = terms[..., width - half :]
        terms = terms[..., : width - half] + tail
    return terms[..., 0]


def plain_lists(scores: np.ndarray, seen: np.ndarray) -> list[np.ndarray]:
    """Of each query the gallery indices that it sees (Q, N) bool, nearest first, equal ones by lower index."""
    orders = np.argsort(-scores, axis=1, kind="stable")
    return [order[row[order]] for order, row in zip(orders, seen, strict=True)]


def plain_metrics(
    scores: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    seen: np.ndarray,
    *,
    recall_ks: tuple[int, ...],
    ties_count: bool = False,
    own: bool = False,
) -> dict[str, float]:
    """Recall, MAP@R, R-precision, P@1, and mAP of whole rankings (whose n counts the query itself if ``own``)."""
    in_front, first, at_r, r_precision, whole = [], [], [], [], []
    for row, label, order in zip(scores, query_labels, plain_lists(scores, seen), strict=True):
        hits = gallery_labels[order] == label
        num = int(hits.sum())
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1) * hits
        whole.append(precision.sum() / max(1, num + own))
        first.append(bool(num) and bool(hits[0]))
        if not num:
            in_front.append(np.inf)
            continue
        nearest = row[order[hits][0]]
        in_front.append((row[order][~hits] > nearest).sum() if ties_count else np.flatnonzero(hits)[0])
        at_r.append(precision[:num].sum() / num)
        r_precision.append(hits[:num].mean())
    found = {f"recall_at_{k}": np.mean(np.array(in_front) < k) for k in recall_ks}
    found |= {"map_at_r": np.mean(at_r or [0]), "r_precision": np.mean(r_precision or [0])}
    return found | {"precision_at_1": np.mean(first), "mAP": np.mean(whole)}
