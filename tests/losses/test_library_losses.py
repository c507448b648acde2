"""The losses that the Proxy-Anchor family takes from pytorch-metric-learning: the library's values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from plain_library import library, softtriple
from torch import Tensor

from dml.losses import LOSSES, create_loss
from dml.losses.proxies.centroids import CentroidScores
from dml.losses.similarity import IntrospectiveSimilarity, Similarity
from dml.losses.tuples.triplet import semihard_weights

C, D = 40, 8


NAMES = ("MS", "Contrastive", "Triplet", "NPair")


def labels_of(kind: str, generator: torch.Generator) -> Tensor:
    return {
        "drawn": torch.randint(12, (48,), generator=generator),
        "pairs": torch.arange(40) // 2,
        "large classes": torch.arange(45) % 3,
        "shuffled": (torch.arange(30) % 6)[torch.randperm(30, generator=generator)],
        "few": torch.tensor([3, 1, 3, 1, 2]),
        "one class": torch.full((9,), 5),
        "all differ": torch.arange(C),
        "one pair": torch.tensor([7, 7, 2]),
        "two images": torch.tensor([4, 4]),
        "two classes": torch.tensor([4, 0]),
        "one image": torch.tensor([1]),
    }[kind]


KINDS = (
    *("drawn", "pairs", "large classes", "shuffled", "few", "one class", "all differ", "one pair", "two images"),
    *("two classes", "one image"),
)


def embeddings_of(kind: str, batch: int, generator: torch.Generator) -> Tensor:
    x = torch.randn(batch, D, dtype=torch.float64, generator=generator)
    return {
        "of any length": 3 * x,
        "unit": F.normalize(x),
        "far from 0": 5 + x,
        "copies": F.normalize(x)[torch.arange(batch) % max(batch // 3, 1)],
        "one point": F.normalize(x)[:1].repeat(batch, 1),
        "few values": torch.randint(-1, 2, (batch, D), generator=generator).double(),  # many equal distances
        "zero rows": x * (torch.arange(batch) % 4 > 0)[:, None],
    }[kind]


POINTS = ("of any length", "unit", "far from 0", "copies", "one point", "few values", "zero rows")


def value_and_gradient(loss, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    rows = embeddings.clone().requires_grad_()
    value = loss(rows)
    value.backward()
    return value.detach(), rows.grad


def assert_equal_to_library(
    name: str, x: Tensor, y: Tensor, similarity: Similarity | None = None, *, noise: float = 0.0
) -> None:
    their_loss, miner = library(name, similarity)
    given = {} if similarity is None else {"similarity": similarity}
    our_loss = create_loss(name, num_classes=C, embedding_size=D, **given)
    theirs = value_and_gradient(lambda rows: their_loss(rows, y, miner and miner(rows, y)), x)
    ours = value_and_gradient(lambda rows: our_loss(rows, y), x)
    rtol = 1e-10 if x.dtype == torch.float64 else 2e-5
    torch.testing.assert_close(ours[0], theirs[0], rtol=rtol, atol=rtol)
    atol = max(noise, rtol) * float(1 + theirs[1].abs().max())
    torch.testing.assert_close(ours[1], theirs[1], rtol=rtol, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_library(name, kind):
    generator = torch.Generator().manual_seed(0)
    labels = labels_of(kind, generator)
    for points in POINTS:
        x = embeddings_of(points, len(labels), generator)
        for dtype in (torch.float64, torch.float32):
            # Between copies the library's distances are what rounding leaves, and the gradient divides by them.
            noise = 10 * torch.finfo(dtype).eps ** 0.5 if points in ("copies", "one point") else 0.0
            assert_equal_to_library(name, x.to(dtype), labels, noise=noise)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "module"), [("Triplet", "triplet"), ("NPair", "npair")])
def test_equals_the_library_where_nothing_may_wait_for_counts(name, module, kind, monkeypatch):
    """As on a GPU: with the room that is enough for any labels."""
    monkeypatch.setattr(f"dml.losses.tuples.{module}.room_for", lambda counts, *, at_most: at_most)
    generator = torch.Generator().manual_seed(0)
    labels = labels_of(kind, generator)
    assert_equal_to_library(name, embeddings_of("unit", len(labels), generator), labels)


@pytest.mark.parametrize("name", [name for name in NAMES if LOSSES[name].takes_similarity])
def test_equals_the_library_on_another_similarity(name):
    generator = torch.Generator().manual_seed(0)
    labels = labels_of("drawn", generator)
    rows = torch.cat([embeddings_of("unit", len(labels), generator) for _ in range(2)], dim=1)
    assert_equal_to_library(name, rows, labels, IntrospectiveSimilarity())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_that_of_the_same_rows_in_float32(name, dtype):
    generator = torch.Generator().manual_seed(1)
    labels = labels_of("drawn", generator)
    half = embeddings_of("unit", len(labels), generator).to(dtype)
    loss = create_loss(name, num_classes=C, embedding_size=D)
    wide, narrow = (value_and_gradient(lambda rows: loss(rows, labels), x) for x in (half.float(), half))
    torch.testing.assert_close(narrow[0], wide[0])
    torch.testing.assert_close(narrow[1], wide[1].to(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_softtriple_equals_the_library(kinds, dtype):
    """Which has no regulariser, and brings the rows to unit length; the published one, and ours, does not."""
    torch.manual_seed(kinds)
    options = {"loss_softtriplet_n_centroids": kinds, "loss_softtriplet_reg_weight": 0.0}
    ours = create_loss("softtriple", num_classes=C, embedding_size=D, options=options).to(dtype)
    theirs = softtriple(ours)
    x, y = torch.randn(30, D, dtype=dtype, requires_grad=True), torch.arange(30) % 7
    values = ours(F.normalize(x), y), theirs(x, y)
    torch.testing.assert_close(*values)
    of_ours, of_theirs = (
        torch.autograd.grad(value, (x, centroids))
        for value, centroids in zip(values, (ours.centroids, theirs.fc), strict=True)
    )
    torch.testing.assert_close(of_ours[0], of_theirs[0])
    torch.testing.assert_close(of_ours[1].flatten(0, 1).T, of_theirs[1])


@pytest.mark.parametrize("kinds", [1, 2, 4])
def test_the_gradient_of_softtriple(kinds):
    """Written down by hand: against differences, the regulariser and a row of zeros included."""
    torch.manual_seed(kinds)
    centroids = torch.randn(3, kinds, 4, dtype=torch.float64, requires_grad=True)
    rows = torch.cat([torch.randn(4, 4, dtype=torch.float64), torch.zeros(1, 4)]).requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: CentroidScores.apply(*given, 0.3, True), (rows, centroids))


def test_triplets_on_the_edge_of_the_margin():
    """What rounding makes of a difference decides, as it does where every triplet is formed."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(24) % 4
    for dtype in (torch.float32, torch.float64):
        grid = torch.randint(0, 8, (24, 24), generator=generator).to(dtype) / 40  # steps of a quarter of the margin
        noise = 1 + torch.randint(-2, 3, (24, 24), generator=generator) * torch.finfo(dtype).eps
        d, expected = grid * noise, torch.zeros(24, 24, dtype=dtype)
        same = labels[:, None] == labels
        positives, negatives = same & ~torch.eye(24, dtype=torch.bool), ~same
        a, p, n = (positives[:, :, None] & negatives[:, None, :]).nonzero(as_tuple=True)
        apart = d[a, n] - d[a, p]
        picked = (apart > 0) & (apart <= 0.1) & (d[a, p] - d[a, n] + 0.1 > 0)
        for other, sign in ((p, 1.0), (n, -1.0)):
            expected.index_put_((a[picked], other[picked]), torch.tensor(sign, dtype=dtype), accumulate=True)
        assert picked.any()
        torch.testing.assert_close(semihard_weights(d, positives, negatives, 0.1), expected, rtol=0, atol=0)


B = 20


def by_formula(name: str) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x, y = 1 + torch.randn(B, D, dtype=torch.float64, generator=generator), torch.arange(B) % 4
    return x, y, create_loss(name, num_classes=4, embedding_size=D)(x, y)


def test_formula_of_multi_similarity():
    x, y, value = by_formula("MS")
    s, total = F.normalize(x) @ F.normalize(x).T, 0.0
    for i in range(B):
        positives = [s[i, j] for j in range(B) if y[j] == y[i] and j != i]
        negatives = [s[i, j] for j in range(B) if y[j] != y[i]]
        hard_positives = [v for v in positives if v - 0.1 < max(negatives)]
        hard_negatives = [v for v in negatives if v + 0.1 > min(positives)]
        for values, scale, sign in ((hard_positives, 2, -1), (hard_negatives, 50, 1)):
            if values:
                total += torch.log1p(sum(torch.exp(sign * scale * (v - 0.5)) for v in values)) / scale
    torch.testing.assert_close(value, total / B)


def test_formula_of_contrastive():
    x, y, value = by_formula("Contrastive")
    d = torch.cdist(F.normalize(x), F.normalize(x))
    same = y[:, None] == y[None, :]
    pull = d[same & ~torch.eye(B, dtype=torch.bool)]
    push = (0.5 - d[~same]).clamp_min(0)
    torch.testing.assert_close(value, pull.mean() + push[push > 0].mean())


def test_formula_of_triplet():
    x, y, value = by_formula("Triplet")
    d = torch.cdist(F.normalize(x), F.normalize(x))
    values = [
        d[a, p] - d[a, n] + 0.1
        for a in range(B)
        for p in range(B)
        for n in range(B)
        if a != p and y[a] == y[p] and y[a] != y[n] and 0 < d[a, n] - d[a, p] <= 0.1
    ]
    torch.testing.assert_close(value, torch.stack([v for v in values if v > 0]).mean())


def test_formula_of_npairs_uses_raw_dot_products():
    x, y, value = by_formula("NPair")
    anchors, positives = ([int((y == c).nonzero()[place]) for c in range(4)] for place in (0, 1))
    torch.testing.assert_close(value, F.cross_entropy(x[anchors] @ x[positives].T, torch.arange(4)))
