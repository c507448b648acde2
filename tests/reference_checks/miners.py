"""Miner files (METHODS §18): exact probabilities and candidate sets; draws, ours and published, must obey them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dml.miners import Miner, create_miner
from dml.miners.distance import negative_probabilities
from dml.miners.drawing import relations
from dml.miners.parametric import bin_weights
from dml.miners.parametric import negative_probabilities as parametric_probabilities
from dml.miners.semihard import semihard_candidates
from dml.miners.softhard import softhard_candidates
from reference_checks.losses import variants

DRAWS = 400


class Case:
    """One variant of a file: its arrays, and the batch they belong to.

    Args:
        vectors: the file.
        variant: its prefix; "" without one.
    """

    def __init__(self, vectors, variant: str = ""):
        self._vectors, self._prefix, self.name = vectors, f"{variant}__" if variant else "", variant or "all"
        self.embeddings, self.labels = torch.tensor(self["emb"]), torch.tensor(self["labels"])
        products = self.embeddings @ self.embeddings.T
        squares = products.diagonal()
        self.distances = (squares[:, None] + squares - 2 * products).clamp(min=0).sqrt()
        self.positives, self.negatives = relations(self.labels)

    def __getitem__(self, key: str) -> np.ndarray:
        """The variant's array, or the file's where all variants share it."""
        own = self._prefix + key
        return self._vectors[own if own in self._vectors.files else key]

    def miner(self, name: str, **options: object) -> Miner:
        return create_miner(name, embedding_size=self.embeddings.shape[1], margin=0.2, options=options)

    def counts(self, miner: Miner) -> tuple[Tensor, Tensor]:
        """(B, B) how often each pair is an anchor and its positive, and an anchor and its negative."""
        torch.manual_seed(0)
        drawn = [miner(self.distances, self.labels) for _ in range(DRAWS)]
        a, p, n = (torch.cat(column) for column in zip(*drawn, strict=True))
        tables = torch.zeros(2, *self.distances.shape, dtype=torch.int64)
        for table, partners in zip(tables, (p, n), strict=True):
            table.index_put_((a, partners), torch.ones_like(a), accumulate=True)
        return tables[0], tables[1]


def uniform(mask: Tensor) -> Tensor:
    """Rows of a mask as probabilities; empty rows stay 0."""
    return mask / mask.sum(dim=-1, keepdim=True).clamp(min=1)


def obeys(counts, probabilities: Tensor) -> bool:
    """Whether rows of counts are draws with the given probabilities: Pearson's χ² at most 6 deviations above its mean.

    Over the cells where at least one draw is expected; the impossible ones must be empty.
    """
    counts = torch.as_tensor(np.asarray(counts)).double()
    if (counts[probabilities == 0] > 0).any():
        return False
    expected = counts.sum(dim=1, keepdim=True) * probabilities
    common = expected >= 1
    expected, share = expected[common], probabilities[common]
    statistic = ((counts[common] - expected).square() / expected).sum()
    variance = (2 + 1 / expected).sum()  # an upper bound
    return bool(statistic <= (1 - share).sum() + 6 * variance.sqrt())


def compare_draws(case: Case, compare: Callable, miner: Miner, positive: Tensor, negative: Tensor) -> None:
    """Ours and the published counts against the (B, B) probabilities of positives and negatives."""
    ours = case.counts(miner)
    for source, counts in (("ours", ours), ("published", (case["pos_count"], case["neg_count"]))):
        compare(f"{case.name} {source} positives", obeys(counts[0], positive), True)
        compare(f"{case.name} {source} negatives", obeys(counts[1], negative), True)
    compare(f"{case.name} anchors", ours[0].sum(dim=1) > 0, case["anchor_count"] > 0)


def distance(vectors, compare) -> None:
    """``neg_prob`` exactly; a singleton is its own positive."""
    for variant in variants(vectors):
        case = Case(vectors, variant)
        cutoff = float(case["lower_cutoff"])
        probabilities = _distance_probabilities(case, case.negatives, cutoff)
        compare(f"{variant} neg_prob", probabilities, case["neg_prob"])
        positives = case.positives | torch.diag(~case.positives.any(dim=1))
        miner = case.miner("distance", miner_distance_lower_cutoff=cutoff)
        compare_draws(case, compare, miner, uniform(positives), probabilities)


def _distance_probabilities(case: Case, negatives: Tensor, cutoff: float) -> Tensor:
    size = case.embeddings.shape[1]
    return negative_probabilities(case.distances, negatives, embedding_size=size, lower_cutoff=cutoff)


def random_distance(vectors, compare) -> None:
    """``neg_prob`` of the given permutations; over all of them every other sample is as likely a positive."""
    case = Case(vectors)
    cutoff = float(case["lower_cutoff"])
    for variant in variants(vectors):
        positives, negatives = relations(case.labels[torch.tensor(vectors[f"{variant}__permutation"])])
        compare(f"{variant} labels", relations(torch.tensor(vectors[f"{variant}__permuted_labels"]))[0], positives)
        anchors = vectors[f"{variant}__anchors"]
        compare(f"{variant} anchors", positives.any(dim=1).nonzero().squeeze(1), anchors)
        expected = vectors[f"{variant}__neg_prob"][anchors]
        compare(f"{variant} neg_prob", _distance_probabilities(case, negatives, cutoff)[anchors], expected)
    others = uniform(~torch.eye(len(case.labels), dtype=torch.bool))
    ours, _ = case.counts(case.miner("random_distance", miner_distance_lower_cutoff=cutoff))
    # Draws of a call hang together, so that χ² is only bounded loosely: by ten times the counts' own spread.
    for source, counts in (("ours", ours.numpy()), ("published", case["pos_count"])):
        expected = counts.sum(axis=1, keepdims=True) * others.numpy()
        compare(f"{source} positives", (np.abs(counts - expected) <= 10 * np.sqrt(expected + 1)).all(), True)


def rho_distance(vectors, compare) -> None:
    """``neg_prob_regular``; with probability cp an anchor is its own positive."""
    case = Case(vectors)
    cp, cutoff = float(case["cp"]), float(case["lower_cutoff"])
    anchors = case.positives.any(dim=1)
    regular = _distance_probabilities(case, case.negatives, cutoff) * anchors[:, None]
    compare("neg_prob", regular[anchors], case["neg_prob_regular"][anchors.numpy()])
    positives = uniform(case.positives)
    switched = torch.diag(anchors.double())
    miner = case.miner("rho_distance", miner_rho_distance_cp=cp, miner_rho_distance_lower_cutoff=cutoff)
    mixture = cp * positives + (1 - cp) * regular
    compare_draws(case, compare, miner, cp * switched + (1 - cp) * positives, mixture)


def semihard(vectors, compare) -> None:
    """Candidate sets of every anchor and positive, the fallback to all negatives included."""
    case = Case(vectors)
    margin, size = float(case["margin"]), len(case.labels)
    compare("distances", case.distances, case["distances"], 1e-6, 1e-7)
    shape = tuple(case["neg_candidates_shape"])
    published = np.unpackbits(case["neg_candidates"])[: int(np.prod(shape))].reshape(shape).astype(bool)
    anchor, positive = case.positives.nonzero().unbind(1)
    distances = torch.tensor(case["distances"])
    ours = semihard_candidates(distances[anchor], case.negatives[anchor], distances[anchor, positive], margin)
    compare("candidates", ours, published[anchor, positive])
    negative = torch.zeros(size, size, dtype=torch.float64)
    share = 1 / case.positives.sum(dim=1).double()
    negative.index_add_(0, anchor, uniform(ours) * share[anchor, None])
    miner = create_miner("semihard", embedding_size=1, margin=margin)
    compare_draws(case, compare, miner, uniform(case.positives), negative)


def softhard(vectors, compare) -> None:
    """Candidate sets of every anchor with a positive."""
    case = Case(vectors)
    rows = case.positives.any(dim=1)
    tables = torch.zeros(2, *case.positives.shape, dtype=torch.bool)
    chosen = softhard_candidates(torch.tensor(case["distances"])[rows], case.positives[rows], case.negatives[rows])
    for table, candidates, name in zip(tables, chosen, ("pos_candidates", "neg_candidates"), strict=True):
        table[rows] = candidates
        compare(name, candidates, case[name].astype(bool)[rows.numpy()])
    compare_draws(case, compare, case.miner("softhard"), uniform(tables[0]), uniform(tables[1]))


def random(vectors, compare) -> None:
    """The number of triplets, and that all are as likely."""
    case = Case(vectors)
    triplets = case.positives.sum(dim=1) * case.negatives.sum(dim=1)
    compare("triplets", triplets.sum(), case["n_possible_triplets"])
    miner = case.miner("random")
    compare_draws(case, compare, miner, uniform(case.positives), uniform(case.negatives))
    drawn = torch.stack(miner(case.distances, case.labels), dim=1)
    compare("drawn", len(drawn), case["n_triplets_per_draw"][0])
    compare("distinct", len(drawn.unique(dim=0)), len(drawn))


def lifted(vectors, compare) -> None:
    """All sets, which are deterministic."""
    case = Case(vectors)
    anchors, positives, negatives = case.miner("lifted")(case.distances, case.labels)
    compare("anchors", anchors, case["anchors"])
    for name, ours in (("positive_mask", positives), ("negative_mask", negatives)):
        compare(name, ours, _rows(case[name], anchors))


def _rows(published: np.ndarray, anchors: Tensor) -> np.ndarray:
    """The anchors' rows of a mask with one row per sample, or one per anchor."""
    return published if len(published) == len(anchors) else published[anchors.numpy()]


def npair(vectors, compare) -> None:
    """The anchors and their negatives; one positive each, uniform."""
    case = Case(vectors)
    miner = case.miner("npair")
    anchors, positives, negatives = miner(case.distances, case.labels)
    compare("anchors", anchors, case["anchors"])
    compare("one positive", positives.sum(dim=1), np.ones(len(anchors)))
    compare("negatives", negatives, _rows(case["negative_mask"], anchors))
    counts = torch.zeros(len(case.labels), len(case.labels))
    torch.manual_seed(0)
    for _ in range(DRAWS):
        counts[anchors] += miner(case.distances, case.labels).positives
    for source, drawn in (("ours", counts), ("published", case["pos_count"])):
        compare(f"{source} positives", obeys(drawn, uniform(case.positives)), True)


def intra_random(vectors, compare) -> None:
    """Classes are uniform, members of a class too, whatever its size."""
    case = Case(vectors)
    compare("classes", case.labels.unique(), case["classes"])
    same = case.labels[:, None] == case.labels
    compare_draws(case, compare, case.miner("intra_random"), uniform(same), uniform(same))
    shares = uniform(same).diagonal() / len(case.labels.unique())
    ours = case.counts(case.miner("intra_random"))[0].sum(dim=1)
    for source, counts in (("ours", ours.numpy()), ("published", case["anchor_count"])):
        compare(f"{source} anchors", obeys(counts[None], shares[None]), True)


def parametric(vectors, compare) -> None:
    """Support, bin weights and ``neg_prob`` of every mode."""
    low, high = vectors["support_lim"].tolist()
    num_bins = int(vectors["n_support"])
    for mode in variants(vectors):
        case = Case(vectors, mode)
        anchors = torch.tensor(case["anchors"])
        support, weights = bin_weights(mode, num_bins=num_bins, low=low, high=high)
        compare(f"{mode} support", support, case["support"])
        compare(f"{mode} weights", weights, case["sample_distr"])
        probabilities = torch.zeros_like(case.distances)
        probabilities[anchors] = parametric_probabilities(
            case.distances[anchors], case.negatives[anchors], support, weights
        )
        compare(f"{mode} neg_prob", probabilities[anchors], case["neg_prob"][anchors.numpy()])
        options = {"mode": mode, "num_bins": num_bins, "low": low, "high": high}
        miner = case.miner("parametric", **{f"miner_parametric_{name}": value for name, value in options.items()})
        compare_draws(case, compare, miner, uniform(case.positives), probabilities)


CHECKS = {
    f"18_miner_{check.__name__}": check
    for check in (
        distance,
        semihard,
        softhard,
        random,
        random_distance,
        rho_distance,
        lifted,
        npair,
        intra_random,
        parametric,
    )
}
