"""Miners: what every one of them keeps to, and what each picks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dml.errors import UserError
from dml.miners import MINERS, Triplets, create_miner, random
from dml.miners.distance import negative_probabilities
from dml.miners.drawing import relations
from dml.registry import UnknownNameError
from miners.plain_miners import distance_miner_loop
from miners.plain_miners import negative_probabilities as plain_probabilities

SIZE = 16
FLAGS = Path(__file__).parents[1] / "reference" / "flags.json"
ONE_PER_SAMPLE = ("distance", "intra_random")  # these use samples that are alone in their class too


def make(name: str, **options: object):
    return create_miner(name, embedding_size=SIZE, margin=0.2, options=options)


def batch(labels: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = F.normalize(torch.randn(len(labels), SIZE, generator=generator), dim=1)
    return torch.cdist(embeddings, embeddings), torch.tensor(labels)


MIXED = [0, 0, 1, 1, 1, 5, 5, 5, 5, 2, 7, 7]  # class 2 has one sample
SINGLE = 9


def run(name: str, labels: list[int], seed: int = 0):
    torch.manual_seed(seed)
    return make(name)(*batch(labels))


@pytest.mark.parametrize("name", list(MINERS))
def test_gives_what_it_says_and_repeats_with_the_seed(name):
    drawn, again = run(name, MIXED), run(name, MIXED)
    assert isinstance(drawn, Triplets) == (MINERS[name].gives == "triplets") == (make(name).gives == "triplets")
    assert all(torch.equal(one, other) for one, other in zip(drawn, again, strict=True))
    assert drawn.anchors.dtype == torch.int64
    assert len(drawn.anchors) == len(drawn[1]) == len(drawn[2])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, spec in MINERS.items() if spec.gives == "triplets"])
def test_triplets_are_of_one_class_and_another(name):
    labels = torch.tensor(MIXED)
    for seed in range(20):
        a, p, n = run(name, MIXED, seed)
        assert len(a) > 0
        if name not in ONE_PER_SAMPLE:
            assert name == "random_distance" or SINGLE not in a
        if name in ("random_distance", "intra_random", "rho_distance"):
            continue  # theirs are wrong on purpose
        assert (labels[a] == labels[p]).all()
        assert (labels[a] != labels[n]).all()
        assert ((a != p) | (a == SINGLE)).all()


@pytest.mark.parametrize("name", [name for name, spec in MINERS.items() if spec.gives == "sets"])
def test_sets_are_of_one_class_and_the_others(name):
    positives, negatives = relations(torch.tensor(MIXED))
    drawn = run(name, MIXED)
    assert SINGLE not in drawn.anchors
    assert (drawn.positives <= positives[drawn.anchors]).all()
    assert drawn.positives.any(dim=1).all()
    assert torch.equal(drawn.negatives, negatives[drawn.anchors])


@pytest.mark.parametrize("name", list(MINERS))
@pytest.mark.parametrize("labels", [[3] * 6, list(range(6))], ids=["one class", "nothing but singletons"])
def test_batches_without_a_triplet(name, labels):
    drawn = run(name, labels)
    expected = {("distance", 6): 6, ("intra_random", 1): 6, ("intra_random", 6): 6}
    assert len(drawn.anchors) == expected.get((name, len(set(labels))), 0)


def test_distance_probabilities_are_the_loops():
    distances, labels = batch(MIXED)
    ours = negative_probabilities(distances, relations(labels)[1], embedding_size=SIZE, lower_cutoff=0.5)
    for anchor, row in enumerate(ours):
        torch.testing.assert_close(row, plain_probabilities(distances, labels, anchor, SIZE, 0.5))


@pytest.mark.slow
def test_distance_partners_are_those_of_the_loop():
    """Both draw from the same pairs: every pair that either finds in 200 calls is found often by the other."""
    distances, labels = batch(MIXED)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    tables = torch.zeros(2, len(MIXED), len(MIXED))
    for _ in range(200):
        triplets = torch.tensor(distance_miner_loop(distances, labels, SIZE, 0.5))
        tables[0][triplets[:, 0], triplets[:, 2]] += 1
        ours = make("distance")(distances, labels)
        tables[1][ours.anchors, ours.negatives] += 1
    spread = (tables.sum(0) + 1).sqrt()
    assert ((tables[0] - tables[1]).abs() < 5 * spread).all()


def test_embeddings_off_the_sphere_have_probabilities():
    distances, labels = batch(MIXED)
    rows = negative_probabilities(5 * distances, relations(labels)[1], embedding_size=SIZE)
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(len(MIXED)))


def test_distance_prefers_near_negatives_to_those_at_right_angles():
    distances = torch.tensor([[0.0, 0.7, 1.4]])
    near, far = negative_probabilities(distances, torch.tensor([[False, True, True]]), embedding_size=128)[0, 1:]
    assert near > 0.999 > far


def test_random_triplets_are_distinct_and_reach_all():
    positives, negatives = relations(torch.tensor(MIXED))
    possible = int((positives.sum(1) * negatives.sum(1)).sum())
    found = set()
    for seed in range(200):
        drawn = torch.stack(run("random", MIXED, seed), dim=1).tolist()
        assert len({tuple(row) for row in drawn}) == len(MIXED)
        found |= {tuple(row) for row in drawn}
    assert len(found) == possible


def test_many_possible_triplets_are_drawn_as_uniformly(monkeypatch):
    monkeypatch.setattr(random, "_MOST_PERMUTED", 0)
    torch.manual_seed(0)
    drawn = torch.stack([random._distinct(60, 12, torch.device("cpu")) for _ in range(3000)])
    assert (drawn.sort(1).values.diff(dim=1) > 0).all()
    for numbers in (drawn, drawn[:, :1]):
        shares = numbers.flatten().bincount(minlength=60) / numbers.numel()
        assert (shares - 1 / 60).abs().max() < 5 * (1 / 60 / numbers.numel()) ** 0.5
    assert len({tuple(row) for row in torch.stack(run("random", MIXED, 0), dim=1).tolist()}) == len(MIXED)


def test_fewer_random_triplets_than_samples():
    """Two of a class and two others: 2 anchors · 1 positive · 2 negatives, all given once."""
    drawn = torch.stack(run("random", [0, 0, 1, 2]), dim=1)
    assert sorted(drawn.tolist()) == [[0, 1, 2], [0, 1, 3], [1, 0, 2], [1, 0, 3]]


@pytest.mark.parametrize(("probability", "own"), [(0.0, False), (1.0, True)])
def test_rho_switches_anchors_to_their_own_positives(probability, own):
    distances, labels = batch(MIXED)
    a, p, n = make("rho_distance", miner_rho_distance_cp=probability)(distances, labels)
    assert ((a == p) == own).all()
    assert ((labels[a] == labels[n]) == own).all()


def test_semihard_looks_between_the_positive_and_the_margin():
    distances = torch.tensor([[0.0, 0.5, 0.4, 0.6, 0.8]] * 5)  # of anchor 0 and its positive 1 to three negatives
    drawn = make("semihard")(distances, torch.tensor([0, 0, 1, 2, 3]))
    assert drawn.negatives[drawn.anchors == 0].tolist() == [3]


def test_default_options_are_the_published():
    published = {
        flag.removeprefix("--"): entry["default"]
        for entry in json.loads(FLAGS.read_text())["lsd/parameters"]
        for flag in entry["flags"]
        if flag.startswith("--miner_")
    }
    ours = {flag: spec.default(flag) for spec in MINERS.values() for flag in spec.options}
    assert published.items() <= ours.items()
    assert all(flag.startswith("miner_parametric_") for flag in set(ours) - set(published))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rho_distance", {"miner_rho_distance_cp": 1.5}, "--miner_rho_distance_cp is a probability"),
        ("parametric", {"miner_parametric_num_bins": 2}, "--miner_parametric_num_bins must be at least 3"),
        ("parametric", {"miner_parametric_low": 2.0}, "need 0 <= low < high, got 2.0 and 1.4"),
        ("parametric", {"miner_parametric_mode": "hard"}, "Did you mean 'hards'"),
    ],
)
def test_impossible_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


@pytest.mark.parametrize("cutoff", [0.0, -1.0])
@pytest.mark.parametrize("name", ["distance", "random_distance"])
def test_duplicates_without_a_lower_cutoff(name, cutoff):
    labels = torch.arange(12) // 2
    drawn = make(name, miner_distance_lower_cutoff=cutoff)(torch.zeros(12, 12), labels)
    assert len(drawn.anchors) > 0
    negatives = labels[:, None] != labels
    odds = negative_probabilities(torch.zeros(12, 12), negatives, embedding_size=SIZE, lower_cutoff=cutoff)
    torch.testing.assert_close(odds, negatives / 10)


def test_semihard_needs_a_margin():
    with pytest.raises(ValueError, match="--batch_mining semihard looks within the loss's margin"):
        create_miner("semihard", embedding_size=SIZE)


def test_unknown_miner():
    with pytest.raises(UnknownNameError, match="Did you mean 'semihard'"):
        create_miner("semi_hard", embedding_size=SIZE)
    with pytest.raises(UserError, match="miner lifted has no option 'miner_distance_cutoff': it has none"):
        create_miner("lifted", embedding_size=SIZE, options={"miner_distance_cutoff": 1.0})


@pytest.mark.gpu
@pytest.mark.parametrize("name", list(MINERS))
def test_stays_on_the_gpu(name):
    distances, labels = batch(MIXED)
    assert all(part.is_cuda for part in make(name)(distances.cuda(), labels.cuda()))
