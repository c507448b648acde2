"""Retrieval metrics: by hand, against a float64 brute force and pytorch-metric-learning, edge cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from dml import metric_names
from dml.evaluation.retrieval import RETRIEVAL_METRICS, RetrievalMetric, retrieval_metrics
from dml.neighbours import ItemSets, SimilarityScores
from dml.registry import UnknownNameError

KS = (1, 2, 5, 10, 1000)


def brute_force(
    query, query_labels, gallery=None, gallery_labels=None, distance="cosine", image_ids=None, ties_count=False
):
    """The definitions, one query at a time, in float64."""
    if gallery is None:
        gallery, gallery_labels = query, query_labels
        image_ids = image_ids or (torch.arange(len(query)),) * 2
    x, y = query.double().numpy(), gallery.double().numpy()
    query_labels, gallery_labels = query_labels.numpy(), gallery_labels.numpy()
    if distance == "cosine":
        x, y = (v / np.sqrt((v**2).sum(1, keepdims=True) + 1e-12) for v in (x, y))
    ranks, first, precision, r_precision = [], [], [], []
    for i in range(len(x)):
        key = -(x[i] * y).sum(1) if distance == "cosine" else ((x[i] - y) ** 2).sum(1)
        order = np.argsort(key, kind="stable")
        if image_ids is not None:
            order = order[(image_ids[1] != image_ids[0][i]).numpy()[order]]
        hits = gallery_labels[order] == query_labels[i]
        r = int(hits.sum())
        if r == 0:
            ranks.append(np.inf)
            first.append(0)
            continue
        positive = order[hits][0]
        rank = int(np.flatnonzero(hits)[0])
        ranks.append(int((key[order][~hits] < key[positive]).sum()) if ties_count else rank)
        first.append(hits[0])
        r_precision.append(hits[:r].mean())
        precision.append((hits[:r] * np.cumsum(hits[:r]) / np.arange(1, r + 1)).mean())
    recalls = {f"recall_at_{k}": float(np.mean(np.array(ranks) < k)) for k in KS}
    means = {"map_at_r": precision, "r_precision": r_precision, "precision_at_1": first}
    return recalls | {name: float(np.mean(v)) if v else 0.0 for name, v in means.items()}


def random_set(seed, num, num_classes, dim=8, copies=False):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num,), generator=generator) * 3 - 7
    embeddings = torch.randn(num_classes, dim, generator=generator)[(labels + 7) // 3]
    embeddings += torch.randn(num, dim, generator=generator)
    if copies:
        embeddings = embeddings[torch.randint(num // 4, (num,), generator=generator)]
    return embeddings, labels


def test_by_hand():
    embeddings = torch.tensor([[0.0], [1.0], [3.0], [6.0], [10.0], [40.0]])
    labels = torch.tensor([0, 1, 0, 0, 1, 2])
    got = retrieval_metrics(embeddings, labels, recall_ks=(1, 2, 3, 4, 9), distance="euclidean")
    # Hits by distance: 0: 1 miss, 3 hit | 1: 0 miss, 3, 6 miss, 10 hit | 3: 1 miss, 0 hit | 6: 3 hit, 10
    # miss | 10: 6, 3 miss, 1 hit | 40 is alone in its class.
    # At 3, the distance to 0 and to 6 is 3 for both, and both are hits.
    assert got["recall_at_1"] == pytest.approx(1 / 6)
    assert got["recall_at_2"] == pytest.approx(3 / 6)
    assert got["recall_at_3"] == pytest.approx(4 / 6)
    assert got["recall_at_4"] == pytest.approx(5 / 6)
    assert got["recall_at_9"] == pytest.approx(5 / 6)
    assert got["precision_at_1"] == pytest.approx(1 / 6)
    assert got["r_precision"] == pytest.approx((1 / 2 + 0 + 1 / 2 + 1 / 2 + 0) / 5)
    assert got["map_at_r"] == pytest.approx((1 / 4 + 0 + 1 / 4 + 1 / 2 + 0) / 5)


def test_ties_go_to_the_lower_index():
    embeddings = torch.ones(4, 2)
    got = retrieval_metrics(embeddings, torch.tensor([0, 1, 1, 0]), recall_ks=(1, 2, 3))
    # Neighbours by index: 0: 1 2 3 | 1: 0 2 3 | 2: 0 1 3 | 3: 0 1 2.
    assert got["recall_at_1"] == 0.25
    assert got["recall_at_2"] == 0.75
    assert got["recall_at_3"] == 1.0
    assert got["precision_at_1"] == 0.25


def test_ties_count_for_the_query_only_where_it_is_asked_for():
    query, gallery = torch.ones(1, 2), torch.ones(3, 2)
    given = (query, torch.tensor([2]), gallery, torch.tensor([0, 1, 2]))
    got = retrieval_metrics(*given, recall_ks=(1, 2, 3))
    assert [got[f"recall_at_{k}"] for k in (1, 2, 3)] == [0, 0, 1]
    got = retrieval_metrics(*given, recall_ks=(1,), ties_count_for_query=True)
    assert (got["recall_at_1"], got["precision_at_1"]) == (1, 0)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_network_that_maps_all_to_one_point_is_no_better_than_chance(distance, value):
    labels = torch.arange(10).repeat_interleave(5)
    equal = torch.full((50, 4), value)
    for given in ((equal, labels, equal, labels), (equal, labels)):
        got = retrieval_metrics(*given, recall_ks=(1,), distance=distance)
        assert max(got.values()) <= 1 / 10


@pytest.mark.slow
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("num_classes", [1, 4, 60, 200])
def test_equals_brute_force(distance, copies, num_classes):
    embeddings, labels = random_set(num_classes, 203, num_classes, copies=copies)
    expected = brute_force(embeddings, labels, distance=distance)
    for chunk_size in (None, 1, 17):
        got = retrieval_metrics(embeddings, labels, recall_ks=KS, distance=distance, chunk_size=chunk_size)
        assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("copies", [False, True])
def test_query_and_gallery_equal_brute_force(distance, copies):
    query, query_labels = random_set(0, 70, 30, copies=copies)
    gallery, gallery_labels = random_set(1, 150, 22)
    gallery[:40] = query[:40]  # some with the query's label, some without
    expected = brute_force(query, query_labels, gallery, gallery_labels, distance)
    for chunk_size in (None, 13):
        options = {"recall_ks": KS, "distance": distance, "chunk_size": chunk_size}
        got = retrieval_metrics(query, query_labels, gallery, gallery_labels, **options)
        assert got == pytest.approx(expected, abs=1e-12)
    expected = brute_force(query, query_labels, gallery, gallery_labels, distance, ties_count=True)
    got = retrieval_metrics(query, query_labels, gallery, gallery_labels, ties_count_for_query=True, **options)
    assert got == pytest.approx(expected, abs=1e-12)


def with_copies(seed, *, gallery):
    """Embeddings with copies, some under another label: query, its labels, a gallery and its labels or not; and which
    images are the same."""
    embeddings, labels = random_set(seed, 150, 12)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.arange(150).where(
        torch.rand(150, generator=generator) < 0.6, torch.randint(20, (150,), generator=generator)
    )
    embeddings, labels = embeddings[ids], labels[ids]
    labels[::9] = 5
    if not gallery:
        return (embeddings, labels), (ids, ids)
    return (embeddings[:60], labels[:60], embeddings[60:], labels[60:]), (ids[:60], ids[60:])


@pytest.mark.slow
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("gallery", [False, True])
def test_no_image_is_answered_by_itself_or_a_copy(distance, gallery):
    given, ids = with_copies(0, gallery=gallery)
    expected = brute_force(*given, distance=distance, image_ids=ids)
    for chunk_size in (None, 7):
        options = {"recall_ks": KS, "distance": distance, "chunk_size": chunk_size}
        assert retrieval_metrics(*given, image_ids=ids, **options) == pytest.approx(expected, abs=1e-12)
    assert retrieval_metrics(*given, **options)["recall_at_1"] > expected["recall_at_1"] + 0.1


def test_all_but_a_few_copies_of_one_image():
    """Sets of left-out items as large as the gallery, shorter lists than any other, queries without an answer."""
    embeddings, labels = random_set(1, 60, 3)
    ids = torch.cat([torch.zeros(50).long(), torch.arange(1, 11)])
    embeddings = embeddings[ids]
    expected = brute_force(embeddings, labels, image_ids=(ids, ids))
    for chunk_size in (None, 1, 9):
        got = retrieval_metrics(embeddings, labels, recall_ks=KS, image_ids=(ids, ids), chunk_size=chunk_size)
        assert got == pytest.approx(expected, abs=1e-12)
    ids = torch.zeros(60).long()
    assert set(retrieval_metrics(embeddings, labels, recall_ks=KS, image_ids=(ids, ids)).values()) == {0.0}


def test_images_that_differ_are_left_out_one_by_one():
    embeddings, labels = random_set(2, 120, 9, copies=True)
    ids = torch.randperm(120)
    expected = retrieval_metrics(embeddings, labels, recall_ks=KS)
    assert retrieval_metrics(embeddings, labels, recall_ks=KS, image_ids=(ids, ids)) == expected


def test_copies_of_one_image_take_no_square_of_memory():
    """10^5 copies leave out 10^10 pairs; the sets share one list."""
    ids = torch.zeros(100_000, dtype=torch.int64)
    sets = ItemSets.of_same_group(ids, ids)
    assert (sets.largest, sum(part.numel() for part in (sets.order, sets.start, sets.size))) == (100_000, 300_000)
    position, items = sets.pairs(torch.tensor([7, 9]))
    assert position.bincount().tolist() == [100_000, 100_000]
    assert torch.equal(items[:100_000], torch.arange(100_000))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_offset_of_1e4(distance, dtype):
    """Nearly collapsed for cosine, no digits left in a float32 expansion of the Euclidean distance."""
    embeddings, labels = random_set(5, 300, 20)
    embeddings = (embeddings + 1e4).to(dtype)
    got = retrieval_metrics(embeddings, labels, recall_ks=KS, distance=distance)
    assert got == pytest.approx(brute_force(embeddings, labels, distance=distance), abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 1e-20, 1e20])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_collapsed_embeddings(distance, value):
    labels = torch.arange(40) % 7
    got = retrieval_metrics(torch.full((40, 5), value), labels, recall_ks=KS, distance=distance)
    assert got == pytest.approx(brute_force(torch.zeros(40, 5), labels), abs=1e-12)


@pytest.mark.parametrize("num_classes", [5, 40])
def test_agrees_with_pytorch_metric_learning(num_classes):
    embeddings, labels = random_set(9, 300, num_classes, dim=16)
    labels = labels - labels.min()
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    search = CustomKNN(LpDistance(normalize_embeddings=False))
    calculator = AccuracyCalculator(include=names, k="max_bin_count", device=torch.device("cpu"), knn_func=search)
    expected = calculator.get_accuracy(embeddings, labels, embeddings, labels, ref_includes_query=True)
    got = retrieval_metrics(embeddings, labels, recall_ks=(1,), distance="euclidean")
    assert got["precision_at_1"] == pytest.approx(expected["precision_at_1"])
    assert got["r_precision"] == pytest.approx(expected["r_precision"])
    assert got["map_at_r"] == pytest.approx(expected["mean_average_precision_at_r"])


def test_few_pairs_need_a_second_look(monkeypatch):
    """The float32 product decides almost everything; the defining scores are for the few pairs that it leaves."""
    looked_at, pairs = [], SimilarityScores.pairs

    def counting(scores, rows, columns):
        looked_at.append(len(rows))
        return pairs(scores, rows, columns)

    monkeypatch.setattr(SimilarityScores, "pairs", counting)
    monkeypatch.setattr(SimilarityScores, "exact_rows", None)
    embeddings, labels = random_set(3, 1000, 50, dim=32)
    retrieval_metrics(embeddings, labels, recall_ks=KS)
    assert sum(looked_at) < 1000  # of 1,000,000


@pytest.mark.slow
@pytest.mark.parametrize("copies", [False, True])
def test_large_gallery_equals_brute_force(copies):
    embeddings, labels = random_set(12, 1600, 500, copies=copies)
    got = retrieval_metrics(embeddings, labels, recall_ks=KS)
    assert got == pytest.approx(brute_force(embeddings, labels), abs=1e-12)


def test_small_blocks_change_nothing(monkeypatch):
    embeddings, labels = random_set(4, 150, 9, copies=True)
    expected = retrieval_metrics(embeddings, labels, recall_ks=KS)
    for name in ("evaluation.ranking._BLOCK_BYTES", "evaluation.ranking._EXACT_BYTES", "neighbours.blocks._FEWEST"):
        monkeypatch.setattr(f"dml.{name}", 1)
    monkeypatch.setattr("dml.neighbours.blocks._COUNT_COLUMNS", 7)
    assert retrieval_metrics(embeddings, labels, recall_ks=KS) == expected


def test_only_what_is_asked_for():
    embeddings, labels = random_set(6, 60, 8)
    everything = retrieval_metrics(embeddings, labels, recall_ks=(1, 4))
    for metrics in (
        ["recall"],
        ["map_at_r"],
        ["r_precision"],
        ["precision_at_1"],
        ["precision_at_1", "recall"],
    ):
        got = retrieval_metrics(embeddings, labels, recall_ks=(1, 4), metrics=metrics)
        assert got == {k: v for k, v in everything.items() if k.startswith(tuple(metrics))}


def test_singletons_alone_and_absent_classes():
    embeddings = torch.randn(6, 3)
    got = retrieval_metrics(embeddings, torch.arange(6), recall_ks=(1, 100))
    assert set(got.values()) == {0.0}
    got = retrieval_metrics(embeddings, torch.full((6,), 9), embeddings, torch.arange(6), recall_ks=(1, 100))
    assert set(got.values()) == {0.0}
    assert retrieval_metrics(embeddings[:1], torch.zeros(1).long(), recall_ks=(1,))["recall_at_1"] == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_labels": torch.arange(3)}, r"query labels must be \(4,\) integers"),
        ({"query_labels": torch.zeros(4)}, r"got \(4,\) torch.float32"),
        ({"gallery": torch.zeros(5, 3)}, "must be given together"),
        ({"gallery": torch.zeros(5, 3), "gallery_labels": torch.arange(4)}, r"gallery labels must be \(5,\)"),
        (
            {"gallery": torch.zeros(5, 2), "gallery_labels": torch.arange(5)},
            "query has 3 dimensions, gallery 2",
        ),
        ({"query": torch.tensor([[1.0, 2.0, float("inf")]] * 4)}, "4 of 4 query embeddings hold NaN"),
        ({"image_ids": (torch.arange(3), torch.arange(3))}, r"query image_ids must be \(4,\) integers"),
        ({"recall_ks": (0, 1)}, "recall_ks must be one or more positive integers"),
        ({"recall_ks": ()}, "recall_ks must be"),
    ],
)
def test_bad_input(change, message):
    given = {"query": torch.zeros(4, 3), "query_labels": torch.arange(4), "recall_ks": (1,)} | change
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(**given)


def test_a_new_metric_has_a_value_of_its_own(monkeypatch):
    embeddings, labels = random_set(6, 60, 8)
    monkeypatch.setitem(RETRIEVAL_METRICS._entries, "misses", RetrievalMetric(lambda f, _: 1 - f.first_hit, 1))
    monkeypatch.setitem(metric_names.EMBEDDING_METRICS, "misses", metric_names.MetricName("misses"))
    got = retrieval_metrics(embeddings, labels, recall_ks=(1,), metrics=["misses", "precision_at_1"])
    assert got["misses"] == pytest.approx(1 - got["precision_at_1"])


def test_unknown_metric_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"map_at_r.*r_precision.*precision_at_1"):
        retrieval_metrics(torch.zeros(4, 3), torch.arange(4), recall_ks=(1,), metrics=["map"])


@pytest.mark.gpu
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_gpu_equals_cpu(distance):
    embeddings, labels = random_set(8, 400, 30, copies=True)
    expected = retrieval_metrics(embeddings, labels, recall_ks=KS, distance=distance)
    got = retrieval_metrics(embeddings.cuda(), labels, recall_ks=KS, distance=distance)
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("gallery", [False, True])
def test_gpu_leaves_out_what_the_cpu_does(gallery):
    given, ids = with_copies(3, gallery=gallery)
    expected = retrieval_metrics(*given, recall_ks=KS, image_ids=ids)
    got = retrieval_metrics(*(part.cuda() for part in given), recall_ks=KS, image_ids=ids)
    assert got == pytest.approx(expected, abs=1e-12)
