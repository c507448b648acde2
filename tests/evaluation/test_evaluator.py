"""The evaluator: loaders or embeddings in, named metrics out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dml.evaluation.evaluator import Evaluator, evaluate_embeddings
from dml.evaluation.metrics import DEFAULT_METRICS, METRICS, metric_keys
from dml.registry import UnknownNameError
from dml.structures import Batch


def embed(model, batches, device, *, progress=None):
    batches = list(batches)
    embeddings = torch.cat([model(batch.images.to(device)).cpu() for batch in batches])
    return embeddings, torch.cat([b.labels for b in batches]), torch.cat([b.indices for b in batches])


def loader(seed, num, num_classes):
    """Batches of "images" that stand in no order, as some loaders give them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num,), generator=generator)
    images = torch.randn(num, 6, generator=generator) + 3 * nn.functional.one_hot(labels, 6)
    order = torch.randperm(num, generator=generator)
    return images, labels, [Batch(images[i], labels[i], i) for i in order.split(16)]


def test_queries_are_their_own_gallery():
    images, labels, batches = loader(0, 70, 5)
    evaluator = Evaluator(batches, embed=embed, recall_ks=(1, 2))
    result = evaluator.evaluate(nn.Identity(), torch.device("cpu"))
    assert list(result.metrics) == ["recall_at_1", "recall_at_2", "map_at_r", "r_precision", "precision_at_1"]
    assert result.metrics == evaluate_embeddings(images, labels, recall_ks=(1, 2))
    assert torch.equal(result.query_embeddings, images)
    assert torch.equal(result.query_labels, labels)
    assert result.gallery_embeddings is None
    assert result.gallery_labels is None


def test_query_and_gallery():
    query, query_labels, query_batches = loader(1, 30, 6)
    gallery, gallery_labels, gallery_batches = loader(2, 60, 6)
    options = {"recall_ks": (1, 5), "metrics": ("recall", "nmi"), "distance": "euclidean"}
    evaluator = Evaluator(query_batches, gallery_batches, embed=embed, **options)
    result = evaluator.evaluate(nn.Identity(), torch.device("cpu"), progress="test")
    assert result.metrics == evaluate_embeddings(query, query_labels, gallery, gallery_labels, **options)
    assert torch.equal(result.gallery_embeddings, gallery)
    assert torch.equal(result.gallery_labels, gallery_labels)


def test_clustering_metrics_on_request():
    labels = torch.arange(60) % 6
    embeddings = 5.0 * nn.functional.one_hot(labels, 6) + 0.01 * torch.arange(60)[:, None]
    got = evaluate_embeddings(embeddings, labels, recall_ks=(1,), metrics=("nmi", "f1"))
    assert got.keys() == {"nmi", "f1"}
    assert got["nmi"] > 0.9
    assert 0 < got["f1"] <= 1
    assert not {"nmi", "f1"} & set(DEFAULT_METRICS)
    assert got == evaluate_embeddings(embeddings, labels, recall_ks=(1,), metrics=("nmi", "f1"))


def test_cosine_ignores_length_in_clusters_too():
    labels = torch.arange(60) % 3
    embeddings = nn.functional.one_hot(labels, 3) * torch.logspace(-3, 3, 60)[:, None]
    assert evaluate_embeddings(embeddings, labels, recall_ks=(1,), metrics=("nmi",))["nmi"] == pytest.approx(1.0)


def test_unknown_metric_is_refused_before_anything_runs():
    with pytest.raises(UnknownNameError, match=r"unknown metric 'nmii'\. Did you mean 'nmi'") as error:
        Evaluator([], embed=embed, recall_ks=(1,), metrics=("recall", "nmii"))
    assert all(name in str(error.value) for name in METRICS)


LSD_METRICS = (
    *("e_recall@1", "e_recall@5", "c_recall@2", "nmi", "f1", "c_nmi", "mAP_1000", "mAP_lim", "mAP_c", "c_mAP"),
    *("dists@intra", "dists@inter", "dists@intra_over_inter", "rho_spectrum@0", "rho_spectrum@-1", "rho_spectrum@2"),
)


def test_metrics_by_published_names():
    images, labels, _ = loader(3, 80, 5)
    got = evaluate_embeddings(images, labels, recall_ks=(1, 2), metrics=("recall", *LSD_METRICS), distance="euclidean")
    assert list(got) == metric_keys(("recall", *LSD_METRICS), (1, 2))
    by_cosine = evaluate_embeddings(images, labels, recall_ks=(2,), metrics=("recall", "nmi"))
    assert got["recall_at_1"] == got["e_recall_at_1"]
    assert (got["c_recall_at_2"], got["c_nmi"]) == (by_cosine["recall_at_2"], by_cosine["nmi"])
    assert len(got["rho_spectrum_at_0"]) == 5  # D − 1


def test_metrics_by_published_names_with_a_gallery():
    query, query_labels, _ = loader(1, 30, 6)
    gallery, gallery_labels, _ = loader(2, 60, 6)
    given = (query, query_labels, gallery, gallery_labels)
    got = evaluate_embeddings(*given, recall_ks=(1,), metrics=LSD_METRICS)
    assert got["e_recall_at_5"] == evaluate_embeddings(*given, recall_ks=(5,), distance="euclidean")["recall_at_5"]
    together = evaluate_embeddings(
        torch.cat([query, gallery]), torch.cat([query_labels, gallery_labels]), recall_ks=(), metrics=("dists@intra",)
    )
    assert got["dists_at_intra"] == pytest.approx(together["dists_at_intra"])


@pytest.mark.parametrize("name", ["e_recall", "e_recall@0", "e_recall@-1", "e_recall@x", "dists@1", "mAP@1"])
def test_names_with_a_wrong_number(name):
    with pytest.raises(UnknownNameError, match="e_recall@k"):
        metric_keys((name,), (1,))


@pytest.mark.parametrize("name", ["e_recall@k", "c_recall@k", "rho_spectrum@m"])
def test_a_family_without_its_number(name):
    with pytest.raises(UnknownNameError, match=f"metric {name} lacks its number: write {name[:-1]}1"):
        metric_keys((name,), (1,))
    assert METRICS[f"{name[:-1]}1"].number == 1


def test_families_stand_for_all_their_numbers():
    assert "rho_spectrum@-3" in METRICS
    assert METRICS["c_recall@7"].number == 7
    assert dict(METRICS)["c_recall@k"].number is None
    assert METRICS["c_recall@7"].distance == "cosine"
