"""Criteria as they are chosen: names, flags, rates, miners and similarities."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from dml.losses import LOSSES, create_loss
from dml.losses.mined import MinedLoss
from dml.losses.similarity import CosineSimilarity, IntrospectiveSimilarity
from dml.miners import MINERS, create_miner
from losses.criteria_cases import CRITERIA, LABELS, C, D, evaluate, make, samples, triplets

FLAGS = Path(__file__).parents[1] / "reference" / "flags.json"


@pytest.mark.parametrize("name", [name for name, spec in CRITERIA.items() if spec.takes_similarity])
def test_another_similarity_takes_the_place_of_its_own(name):
    """Cosines of rows of any length are the products of unit rows; introspective rows are longer than proxies."""
    own, cosine, introspective = (
        make(name, similarity=similarity) for similarity in (None, CosineSimilarity(), IntrospectiveSimilarity())
    )
    expected = evaluate(own, F.normalize(samples()))
    penalty = 0.005 * (samples().norm(dim=1).mean() - 1) if name == "lifted_structure" else 0
    torch.testing.assert_close(evaluate(cosine, samples()), expected + penalty, rtol=1e-4, atol=1e-5)
    rows = torch.cat([samples(), samples().roll(1, 1)], dim=1).detach().requires_grad_()
    evaluate(introspective, rows).backward()
    assert rows.grad.isfinite().all()
    assert rows.grad[:, D:].abs().sum() > 0  # the uncertainty learns


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("npair", "loss_npair_divisor", 0.0),
        ("angular", "loss_angular_alpha", 90.0),
        ("histogram", "loss_histogram_nbins", 1),
        ("softmax", "loss_softmax_temperature", 0.0),
        ("softtriplet", "loss_softtriplet_n_centroids", 0),
        ("softtriple", "loss_softtriplet_gamma", 0.0),
        ("arcface", "loss_arcface_angular_margin", 4.0),
        ("ap_loss", "loss_smooth_ap_temperature", 0.0),
        ("adversarial_separation", "loss_adversarial_separation_parts", 4),
    ],
)
def test_refuses_settings_out_of_range(name, option, value):
    with pytest.raises(ValueError, match=f"--{option}"):
        make(name, **{option: value})


def test_proxynca_and_snr_refuse_what_they_cannot_compare():
    with pytest.raises(ValueError, match="at least 2"):
        create_loss("proxynca", num_classes=1, embedding_size=D)
    with pytest.raises(ValueError, match="--embedding-size"):
        create_loss("snr", num_classes=C, embedding_size=1)


def test_published_flags_and_defaults():
    """Every flag of a criterion is an option somewhere, under its published default and that alone."""
    published = {
        flag["flags"][0].removeprefix("--"): flag.get("default", False)
        for flag in json.loads(FLAGS.read_text())["lsd/parameters"]
        if flag["flags"][0].startswith("--loss_")
    }
    ours = {}
    for spec in CRITERIA.values():
        for flag in spec.options:
            ours.setdefault(flag, set()).add(spec.default(flag))
    assert {flag: {default} for flag, default in published.items()} == {flag: ours[flag] for flag in published}


def test_learning_rates():
    options = {"loss_margin_beta_lr": 2e-4}
    assert LOSSES["margin"].parameter_lr_scale({}, base_lr=1e-5) == pytest.approx(50)
    assert LOSSES["margin"].parameter_lr_scale(options, base_lr=1e-5) == pytest.approx(20)
    assert LOSSES["proxynca"].parameter_lr_scale({}, base_lr=1e-5) == 50
    assert LOSSES["proxynca"].parameter_lr_scale({"loss_proxynca_lrmulti": 7.0}, base_lr=1e-5) == 7
    assert LOSSES["triplet"].parameter_lr_scale({}, base_lr=1e-5) == 1
    assert not LOSSES["margin"].decays
    assert LOSSES["Proxy_Anchor"].decays
    make("margin", **options)  # a rate is no argument of the criterion


def test_a_distance_miner_takes_the_penalty_from_snr():
    sizes = {"num_classes": C, "embedding_size": D}
    assert create_loss("snr", **sizes, miner="distance").reg_lambda == 0
    assert create_loss("snr", **sizes, options={"loss_snr_reg_lambda": 0.1}, miner="semihard").reg_lambda == 0.1


def test_every_miner_that_a_criterion_names_works_with_it():
    for name, spec in CRITERIA.items():
        for miner in spec.miners:
            criterion = create_loss(name, num_classes=C, embedding_size=D, miner=miner)
            mined = create_miner(miner, embedding_size=D, margin=getattr(criterion, "margin", None))
            embeddings = samples()
            loss = MinedLoss(criterion, mined)(embeddings, LABELS)
            loss.backward()
            assert math.isfinite(float(loss.detach())), (name, miner)
            assert embeddings.grad.isfinite().all(), (name, miner)
    with_margin = {name for name, spec in CRITERIA.items() if "semihard" in spec.miners}
    assert all("margin" in inspect.signature(CRITERIA[name].build).parameters for name in with_margin)


def test_mined_loss_shows_its_miner_plain_distances():
    seen = []

    class Spy:
        gives = "triplets"

        def __call__(self, distances, labels):
            seen.append(distances)
            return triplets()

    embeddings = samples()
    loss = MinedLoss(make("contrastive"), Spy())(embeddings, LABELS)
    torch.testing.assert_close(loss, make("contrastive")(embeddings, LABELS, triplets()))
    torch.testing.assert_close(seen[0], torch.cdist(embeddings, embeddings).detach())
    assert not seen[0].requires_grad
    assert seen[0].diagonal().abs().max() == 0


def test_mined_loss_refuses_the_other_kind_of_tuples():
    with pytest.raises(ValueError, match=r"TripletLoss takes triplets, but LiftedMiner gives sets"):
        MinedLoss(make("triplet"), MINERS["lifted"].build())


def test_published_spellings():
    """Those of lower case; the same words in capitals are other losses."""
    for word in ("triplet", "contrastive", "proxynca", "npair"):
        assert LOSSES.canonical(word) in CRITERIA
    for word in ("Triplet", "Contrastive", "ProxyNCA", "NPair"):
        assert LOSSES.canonical(word) not in CRITERIA


def test_npair_divides_by_four_with_bn_inception():
    sizes = {"num_classes": C, "embedding_size": D}
    assert create_loss("npair", **sizes, model="bn_inception").divisor == 4
    assert create_loss("npair", **sizes, model="resnet50").divisor == 1
    assert create_loss("npair", **sizes, model="bn_inception", options={"loss_npair_divisor": 2.0}).divisor == 2
