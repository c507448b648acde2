"""Criteria of the Revisiting-DML code base against their plain versions, and where those have no answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import distances, losses, reducers

from dml.losses import create_loss
from dml.losses.regularizers.adversarial_separation import AdversarialSeparation
from dml.miners import PairSets, Triplets
from losses import plain_criteria as plain
from losses.criteria_cases import CRITERIA, LABELS, B, C, D, evaluate, kind_of, make, samples, triplets, tuples_for

PLAIN = {
    "triplet": plain.triplet,
    "contrastive": plain.contrastive,
    "margin": plain.margin,
    "snr": plain.snr,
    "npair": plain.npair,
    "angular": plain.angular,
    "lifted": plain.lifted,
    "multisimilarity": plain.multi_similarity,
    "histogram": plain.histogram,
    "softmax": plain.softmax,
    "softtriple": plain.softtriple,
    "arcface_unclamped": plain.arcface_unclamped,
    "proxynca": plain.proxy_nca,
    "ap_loss": plain.smooth_ap,
    "quadruplet_sound": plain.quadruplet,
}
OTHER_OPTIONS = {  # away from the defaults, so that each setting has to arrive
    "margin": {"loss_margin_nu": 0.1, "loss_margin_beta": 0.8},
    "npair": {"loss_npair_divisor": 4.0},
    "angular": {"loss_angular_alpha": 36.0},
    "histogram": {"loss_histogram_nbins": 12},
    "softtriple": {"loss_softtriplet_n_centroids": 3},
    "ap_loss": {"loss_smooth_ap_temperature": 0.3},
    "quadruplet_sound": {"loss_quadruplet_margin_alpha_1": 0.5},
}


@pytest.mark.parametrize("name", PLAIN)
def test_equals_plain(name):
    equals_plain(name, PLAIN[name])


def test_smooth_ap_equals_the_whole_cube():
    equals_plain("ap_loss", plain.smooth_ap_cube)


def equals_plain(name: str, oracle: Callable[..., torch.Tensor]) -> None:
    criterion, embeddings = make(name, **OTHER_OPTIONS.get(name, {})), samples()
    sources = [embeddings, *criterion.parameters()]
    ours = evaluate(criterion, embeddings)
    theirs = oracle(criterion, embeddings, LABELS, tuples_for(kind_of(criterion)))
    torch.testing.assert_close(ours, theirs)
    gradients = zip(torch.autograd.grad(ours, sources), torch.autograd.grad(theirs, sources), strict=True)
    for gradient, expected in gradients:
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-8)


def test_triplet_is_the_library_s():
    library = losses.TripletMarginLoss(
        margin=0.2, distance=distances.LpDistance(normalize_embeddings=False, power=2), reducer=reducers.MeanReducer()
    )
    embeddings = samples()
    torch.testing.assert_close(evaluate(make("triplet"), embeddings), library(embeddings, LABELS, tuple(triplets())))


@pytest.mark.parametrize("oracle", [plain.quadruplet_as_published, plain.quadruplet_broadcast])
def test_published_quadruplet_equals_plain(oracle):
    criterion, embeddings = make("quadruplet"), samples()
    fourth = torch.arange(20) * 3 % B
    ours = criterion.with_fourth(embeddings, triplets(), fourth, torch.ones(20, dtype=torch.bool))
    torch.testing.assert_close(ours, oracle(criterion, embeddings, fourth, triplets()))


def test_published_quadruplet_draws_positions_of_triplets_with_another_negative():
    criterion, embeddings = make("quadruplet"), samples().detach()
    few = Triplets(torch.tensor([0, 3, 6]), torch.tensor([3, 6, 0]), torch.tensor([1, 1, 2]))
    possible = {  # triplets 0 and 1 can draw number 2 only, triplet 2 can draw 0 or 1
        float(plain.quadruplet_as_published(criterion, embeddings, torch.tensor([2, 2, f]), few)) for f in (0, 1)
    }
    seen = {float(criterion(embeddings, LABELS, few)) for _ in range(30)}
    assert sorted(seen) == pytest.approx(sorted(possible))


def test_published_quadruplet_without_another_negative_has_its_first_part_only():
    criterion, embeddings = make("quadruplet"), samples()
    single = Triplets(torch.tensor([0]), torch.tensor([3]), torch.tensor([1]))
    a, p, n = (embeddings[positions[0]] for positions in single)
    expected = ((a - p).norm() - (a - n).norm() + 0.2).relu()
    torch.testing.assert_close(criterion(embeddings, LABELS, single), expected)


@pytest.mark.parametrize("name", [name for name, spec in CRITERIA.items() if spec.tuples])
def test_no_tuples_cost_nothing(name):
    criterion, embeddings = make(name), samples()
    none, sets = torch.zeros(0, dtype=torch.long), torch.zeros(0, B, dtype=torch.bool)
    tuples = Triplets(none, none, none) if criterion.tuples == "triplets" else PairSets(none, sets, sets)
    loss = criterion(embeddings, LABELS, tuples)
    loss.backward()
    assert float(loss.detach()) == 0
    assert embeddings.grad.abs().sum() == 0


def test_snr_without_costs_is_its_penalty():
    """The published code divides 0 by 0."""
    criterion, embeddings = make("snr", loss_snr_margin=-100.0), samples()
    loss = evaluate(criterion, embeddings)
    torch.testing.assert_close(loss, 0.005 * embeddings[triplets().anchors].sum(1).abs().mean())


def test_margin_without_costs_is_zero():
    criterion, embeddings = make("margin", loss_margin_margin=-100.0), samples()
    assert float(evaluate(criterion, embeddings).detach()) == 0


def test_constant_boundary_is_not_learned():
    criterion = make("margin", loss_margin_beta_constant=True, loss_margin_beta=0.9)
    assert not list(criterion.parameters())
    learned = make("margin", loss_margin_beta=0.9)
    torch.testing.assert_close(evaluate(criterion, samples()), evaluate(learned, samples()), rtol=1e-6, atol=1e-7)


def test_lifted_anchor_without_negatives_costs_nothing():
    criterion, embeddings = make("lifted", loss_lifted_l2=0.0), samples()
    sets = tuples_for("sets")
    complete = criterion(embeddings, LABELS, sets)
    padded = PairSets(*(torch.cat([part, part[:1]]) for part in sets))
    padded.negatives[-1] = False
    loss = criterion(embeddings, LABELS, padded)
    torch.testing.assert_close(loss * len(padded.anchors), complete * len(sets.anchors))
    assert torch.autograd.grad(loss, embeddings)[0].isfinite().all()


@pytest.mark.parametrize("name", ["multisimilarity", "histogram"])
def test_batch_without_positives_costs_nothing(name):
    """The published code fails there."""
    criterion = create_loss(name, num_classes=B, embedding_size=D)
    assert float(criterion(samples(), torch.arange(B)).detach()) == 0


def test_histogram_of_what_is_no_number_is_none():
    """So that the training ends with a message and not with an index that does not exist."""
    embeddings = samples().detach()
    embeddings[0] = torch.nan
    assert create_loss("histogram", num_classes=C, embedding_size=D)(embeddings, LABELS).isnan()


def test_histogram_at_and_beyond_the_ends():
    embeddings = torch.tensor([[1.0], [1.0], [-1.0], [5.0]])
    loss = create_loss("histogram", num_classes=2, embedding_size=1)(embeddings, torch.tensor([0, 0, 1, 1]))
    # Positive pairs: 1 and −5 → −1. Negative pairs: −1, 5 → 1, each twice. Half of the positives lie below a 1.
    assert float(loss) == pytest.approx(0.5 * 0.5 + 0.5 * 1.0)


def test_smooth_ap_of_a_perfect_order_is_zero():
    embeddings = torch.eye(C, dtype=torch.float64)[LABELS]
    criterion = create_loss("ap_loss", num_classes=C, embedding_size=C, options={"loss_smooth_ap_temperature": 0.001})
    embeddings = embeddings + 1e-3 * torch.linspace(-1, 1, B * C, dtype=torch.float64).view(B, C)
    assert float(criterion(embeddings, LABELS)) == pytest.approx(0, abs=1e-3)


def test_soft_triplet_normalises_what_its_name_says():
    """Scaling one centroid moves the published form, whose unit vectors are features, and not the paper's."""
    values = []
    for name in ("softtriplet", "softtriple"):
        criterion = make(name)
        before = evaluate(criterion, samples())
        with torch.no_grad():
            criterion.centroids[0, 0] *= 3
        values.append(float((evaluate(criterion, samples()) - before).abs().detach()))
    assert values[0] > 1e-3
    assert values[1] == pytest.approx(0, abs=1e-12)


def test_soft_triplet_with_one_centroid_has_no_regulariser():
    for name in ("softtriplet", "softtriple"):
        values = [
            evaluate(make(name, loss_softtriplet_n_centroids=1, loss_softtriplet_reg_weight=weight), samples())
            for weight in (0.0, 9.0)
        ]
        torch.testing.assert_close(*values)


def test_arcface_gradient_beyond_a_right_angle():
    """None in the published form, alive in the paper's."""
    alive = {}
    for name in ("arcface", "arcface_unclamped"):
        criterion = create_loss(name, num_classes=2, embedding_size=2).double()
        with torch.no_grad():
            criterion.proxies.copy_(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
        embeddings = torch.tensor([[-1.0, -0.1]], dtype=torch.float64, requires_grad=True)
        criterion(embeddings, torch.tensor([0])).backward()
        alive[name] = bool(embeddings.grad.abs().sum() > 0)
    assert alive == {"arcface": False, "arcface_unclamped": True}


def test_arcface_of_an_embedding_on_its_class_vector_stays_finite():
    for name in ("arcface", "arcface_unclamped"):
        criterion = create_loss(name, num_classes=C, embedding_size=D)
        embeddings = F.normalize(criterion.proxies.detach()).requires_grad_()
        criterion(embeddings, torch.arange(C)).backward()
        assert embeddings.grad.isfinite().all()


def test_separation_reverses_the_gradient_of_features_only():
    torch.manual_seed(0)
    separation = AdversarialSeparation(feature_size=D, directions=[("s", "t")], weights=[2.0], hidden=7).double()
    features = {name: samples().detach().roll(shift, 1).requires_grad_() for shift, name in enumerate("st")}
    loss = separation(features)
    regressor = separation.regressors[0]
    units = {name: F.normalize(values, dim=1) for name, values in features.items()}
    expected = -2 * (units["t"] * F.normalize(regressor(units["s"]), dim=1)).square().mean()
    torch.testing.assert_close(loss, expected)
    for name, values in features.items():
        ours, theirs = (torch.autograd.grad(value, values, retain_graph=True)[0] for value in (loss, expected))
        torch.testing.assert_close(ours, -theirs, msg=name)
    for parameter in regressor.parameters():
        ours, theirs = (torch.autograd.grad(value, parameter, retain_graph=True)[0] for value in (loss, expected))
        torch.testing.assert_close(ours, theirs)
