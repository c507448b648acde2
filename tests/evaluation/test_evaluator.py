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


RANKINGS = ("recall", "map_at_r", "r_precision", "precision_at_1", "e_recall@1", "c_recall@5", "mAP", "c_mAP")


def test_an_image_in_query_and_gallery_is_found_as_if_it_were_its_own_gallery():
    images, _, _ = loader(5, 40, 5)
    labels, ids = torch.arange(40) % 5, torch.arange(40)
    options = {"recall_ks": (1, 3), "metrics": RANKINGS}
    own = evaluate_embeddings(images, labels, **options)
    got = evaluate_embeddings(images, labels, images, labels, image_ids=(ids, ids), **options)
    # A class of 8 has 7 others, by whose number the published average precision of an own gallery is not divided.
    expected = {key: value * (8 / 7 if "mAP" in key else 1) for key, value in own.items()}
    assert got == pytest.approx(expected)
    assert evaluate_embeddings(images, labels, images, labels, **options)["recall_at_1"] == 1


def test_an_image_that_is_listed_twice_does_not_find_itself():
    images, labels, _ = loader(5, 40, 5)
    ids = torch.arange(40).repeat(2)
    options = {"recall_ks": (1,), "metrics": ("recall", "precision_at_1", "e_recall@1")}
    twice = evaluate_embeddings(images.repeat(2, 1), labels.repeat(2), image_ids=(ids, ids), **options)
    assert twice == pytest.approx(evaluate_embeddings(images, labels, **options))


def test_copies_stay_in_what_is_no_ranking():
    images, labels, _ = loader(6, 40, 4)
    others = ("nmi", "f1", "dists@intra", "dists@inter", "rho_spectrum@1")
    ids = torch.zeros(40, dtype=torch.int64)
    options = {"recall_ks": (1,), "metrics": others}
    assert evaluate_embeddings(images, labels, image_ids=(ids, ids), **options) == evaluate_embeddings(
        images, labels, **options
    )


def test_ties_count_for_the_query_in_the_recall_of_the_data_set_alone():
    labels = torch.arange(6)
    given = (torch.ones(6, 3), labels, torch.ones(6, 3), labels)
    names = ("recall", "e_recall@1", "c_recall@1", "precision_at_1", "mAP_c")
    options = {"recall_ks": (1, 3), "metrics": names}
    got = evaluate_embeddings(*given, ties_count_for_query=True, **options)
    assert (got["recall_at_1"], got["recall_at_3"]) == (1, 1)
    by_index = evaluate_embeddings(*given, **options)
    assert by_index["recall_at_1"] == pytest.approx(1 / 6)
    for key in ("e_recall_at_1", "c_recall_at_1", "precision_at_1", "mAP_c"):
        assert got[key] == by_index[key] == pytest.approx(1 / 6), key


def test_an_evaluation_says_what_its_figures_are_worth():
    images, labels, batches = loader(7, 40, 4)
    ids = torch.arange(40).where(labels != 0, -1)  # all of a class are one image
    result = Evaluator(batches, embed=embed, recall_ks=(1,), image_ids=(ids, ids)).evaluate(
        nn.Identity(), torch.device("cpu")
    )
    assert result.metrics == evaluate_embeddings(images, labels, recall_ks=(1,), image_ids=(ids, ids))
    alone = int((labels == 0).sum())
    assert (result.answers.queries, result.answers.answered) == (40, 40 - alone)
    assert result.remarks == [result.answers.sentence(result.metrics), result.answers.of_copies]
    dead = nn.Linear(6, 3)
    nn.init.zeros_(dead.weight)
    remarks = Evaluator(batches, embed=embed, recall_ks=(1,)).evaluate(dead, torch.device("cpu")).remarks
    assert remarks[0] == "R@k, MAP@R, R-precision, P@1 over 40 queries"
    assert "the network has collapsed" in remarks[1]
    nn.init.constant_(dead.bias, torch.nan)
    with pytest.raises(ValueError, match="NaN or infinite embeddings for 40 of 40 images"):
        Evaluator(batches, embed=embed, recall_ks=(1,)).evaluate(dead, torch.device("cpu"))


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
