"""Average precision of whole rankings against a plain loop that sorts."""

from __future__ import annotations

import pytest
import torch

from dml.evaluation.average_precision import CUTOFFS, mean_average_precision
from dml.registry import UnknownNameError


def plain(query, query_labels, gallery=None, gallery_labels=None, *, distance, length, image_ids=None):
    """A loop over queries and neighbours; ``length`` gives J from the size of the class."""
    own = gallery is None
    image_ids = image_ids or ((torch.arange(len(query)),) * 2 if own else None)
    gallery, gallery_labels = (query, query_labels) if own else (gallery, gallery_labels)
    total = 0.0
    for i, (q, label) in enumerate(zip(query.double(), query_labels, strict=True)):
        g = gallery.double()
        if distance == "cosine":
            far = [-float(row @ q / row.norm() / q.norm()) for row in g]
        else:
            far = [float((row - q).square().sum()) for row in g]
        seen = torch.ones(len(g), dtype=torch.bool) if image_ids is None else image_ids[1] != image_ids[0][i]
        order = sorted((round(d, 10), j) for j, d in enumerate(far) if seen[j])
        size, hits = int((gallery_labels[seen] == label).sum()) + own, 0
        for rank, (_, j) in enumerate(order, start=1):
            if gallery_labels[j] == label:
                hits += 1
                total += (rank <= length(size)) * hits / rank / size
    return total / len(query)


LENGTHS = {"mAP": lambda size: 10**9, "mAP_c": lambda size: size, "mAP_lim": lambda size: 1023}


def sample(seed, num, num_classes, dim=4):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num,), generator=generator)
    return torch.randn(num, dim, generator=generator) + labels[:, None] / 4, labels


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("chunk_size", [None, 7])
def test_equals_the_plain_loop(distance, chunk_size):
    embeddings, labels = sample(0, 60, 5)
    labels[-1] = 99  # a singleton scores 0
    got = mean_average_precision(embeddings, labels, names=list(LENGTHS), distance=distance, chunk_size=chunk_size)
    for name, length in LENGTHS.items():
        assert got[name] == pytest.approx(plain(embeddings, labels, distance=distance, length=length), rel=1e-12)


def test_query_and_gallery():
    query, gallery = sample(1, 20, 6), sample(2, 50, 5)  # a class that the gallery lacks scores 0
    got = mean_average_precision(*query, *gallery, names=["mAP", "mAP_c"], distance="euclidean")
    for name in got:
        expected = plain(*query, *gallery, distance="euclidean", length=LENGTHS[name])
        assert got[name] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("chunk_size", [None, 1, 7])
def test_no_image_is_answered_by_itself_or_a_copy(own, chunk_size):
    embeddings, labels = sample(5, 60, 5)
    ids = torch.arange(60) % 17
    embeddings = embeddings[ids]
    given, ids = (
        ((embeddings, labels), (ids, ids))
        if own
        else ((embeddings[:20], labels[:20], embeddings[20:], labels[20:]), (ids[:20], ids[20:]))
    )
    options = {"distance": "euclidean", "image_ids": ids}
    got = mean_average_precision(*given, names=["mAP", "mAP_c"], chunk_size=chunk_size, **options)
    for name in got:
        assert got[name] == pytest.approx(plain(*given, length=LENGTHS[name], **options), rel=1e-12)


def test_equal_distances_fall_with_the_index():
    embeddings = torch.tensor([0.0, 1, -1, 1, -1, 0, 2, -2, 2, 0])[:, None]
    labels = torch.tensor([0, 1, 0, 0, 1, 1, 0, 1, 1, 0])
    got = mean_average_precision(embeddings, labels, names=["mAP"], distance="euclidean")["mAP"]
    assert got == pytest.approx(plain(embeddings, labels, distance="euclidean", length=LENGTHS["mAP"]), rel=1e-12)


def test_a_perfect_ranking_lacks_the_query_itself():
    labels = torch.arange(30) // 5
    got = mean_average_precision(10.0 * labels[:, None], labels, names=["mAP", "mAP_c"], distance="euclidean")
    assert got == pytest.approx({"mAP": 4 / 5, "mAP_c": 4 / 5})


def test_lists_end_at_their_length():
    embeddings, labels = sample(3, 1100, 3)
    got = mean_average_precision(embeddings, labels, names=list(CUTOFFS), distance="euclidean")
    assert got["mAP_c"] < got["mAP_1000"] < got["mAP_lim"] < got["mAP"] < 1


def test_unknown_name_and_bad_embeddings():
    embeddings, labels = sample(4, 10, 2)
    with pytest.raises(UnknownNameError, match="mAP_lim"):
        mean_average_precision(embeddings, labels, names=["mAP_2"])
    with pytest.raises(ValueError, match=r"query labels must be \(10,\) integers"):
        mean_average_precision(embeddings, labels[:9], names=["mAP"])
    embeddings[3] = torch.nan
    with pytest.raises(ValueError, match="1 of 10 query embeddings hold NaN"):
        mean_average_precision(embeddings, labels, names=["mAP"])
