"""The introspective similarity against its formulas, and the losses of the registry that take it."""

from __future__ import annotations

import pytest
import torch
from test_loss_contract import EVERY_TUPLE
from torch import Tensor

from dml.losses import LOSSES, create_loss
from dml.losses.mined import MinedLoss
from dml.losses.similarity import CosineSimilarity, IntrospectiveSimilarity

C, D, GAMMA, TAU = 5, 6, 3.0, 2.0
ABLE = [name for name, spec in LOSSES.items() if spec.takes_similarity]


def rows(seed: int = 0, number: int = 20, dtype: torch.dtype = torch.float64) -> Tensor:
    """(number, 2 D) unit embeddings beside uncertainties of any length."""
    generator = torch.Generator().manual_seed(seed)
    embeddings, uncertainty = torch.randn(2, number, D, dtype=torch.float64, generator=generator)
    return torch.cat([torch.nn.functional.normalize(embeddings), uncertainty], dim=1).to(dtype).requires_grad_()


def plain(row: Tensor, column: Tensor) -> Tensor:
    """METHODS §15 of one pair."""
    x, v = row[:D], row[D:]
    y, w = column[:D], column[D:] if len(column) == 2 * D else torch.zeros_like(v)
    cosine = x @ y / (x.norm() * y.norm())
    damping = torch.exp(-((v + w).square().sum() + GAMMA) / (TAU * (x - y).square().sum()))
    return 1 - (1 - cosine) * damping


@pytest.mark.parametrize("width", [D, 2 * D], ids=["proxies", "samples"])
def test_equals_the_formula_with_gradients(width):
    x, y = rows(0, 7), (3 * rows(1, 4)[:, :width]).detach().requires_grad_()
    similarity = IntrospectiveSimilarity(gamma=GAMMA, tau=TAU)
    ours = similarity.similarities(x, y)
    expected = torch.stack([torch.stack([plain(row, column) for column in y]) for row in x])
    torch.testing.assert_close(ours, expected)
    weights = torch.randn(ours.shape, dtype=ours.dtype, generator=torch.Generator().manual_seed(2))
    theirs = torch.autograd.grad((expected * weights).sum(), (x, y))
    torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), (x, y)), theirs)
    torch.testing.assert_close(similarity.distances(x, y), (2 - 2 * expected).sqrt())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_row_and_itself_or_its_copy(dtype):
    """Similarity 1, distance 0, no gradient, also where embeddings are large and rounding with them."""
    similarity = IntrospectiveSimilarity(gamma=0.0)
    large = (rows(dtype=dtype).detach() * torch.tensor([100.0] * D + [0.0] * D)).to(dtype).requires_grad_()
    for x in (rows(dtype=dtype), large):
        matrix, distances = similarity.similarities(x, x), similarity.distances(x, x)
        assert matrix.dtype == (dtype if dtype == torch.float64 else torch.float32)
        assert (matrix.diagonal() == 1).all()
        assert (distances.diagonal() == 0).all()
        (gradient,) = torch.autograd.grad((matrix.diagonal() + distances.diagonal()).sum(), x)
        assert (gradient == 0).all()
    copies = rows(dtype=dtype).detach()[:1].repeat(4, 1).requires_grad_()
    matrix = IntrospectiveSimilarity().similarities(copies, copies.detach().clone())
    (gradient,) = torch.autograd.grad(matrix.sum() + IntrospectiveSimilarity().distances(copies, copies).sum(), copies)
    assert (matrix == 1).all()
    assert gradient.isfinite().all()


def test_uncertain_rows_count_as_alike():
    x = rows().detach()
    cosines = CosineSimilarity().similarities(x[:, :D], x[:, :D])
    unsure = x * torch.tensor([1.0] * D + [4.0] * D)
    sure, less = (IntrospectiveSimilarity().similarities(r, r) for r in (x, unsure))
    assert (cosines <= sure + 1e-12).all()
    proxies = x[:3, :D]
    assert (
        IntrospectiveSimilarity().similarities(x, proxies) <= IntrospectiveSimilarity().similarities(unsure, proxies)
    ).all()
    assert less.mean() > sure.mean()


@pytest.mark.parametrize("options", [{"gamma": -1.0}, {"tau": 0.0}])
def test_constants_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="gamma must be at least 0 and tau above 0"):
        IntrospectiveSimilarity(**options)


def make(name: str, **options) -> torch.nn.Module:
    torch.manual_seed(3)
    loss = create_loss(name, num_classes=C, embedding_size=D, **options).double()
    tuples = LOSSES[name].tuples
    return MinedLoss(loss, EVERY_TUPLE[tuples]) if tuples else loss


@pytest.mark.slow
@pytest.mark.parametrize("name", ABLE)
def test_without_uncertainty_and_gamma_a_loss_is_the_plain_one(name):
    """Damping is 1 then, so that the similarity is the cosine: the same loss is computed, not another copy of it."""
    labels, raw = torch.arange(20) % C, rows().detach()[:, :D].requires_grad_()
    embeddings = torch.nn.functional.normalize(raw)  # as the networks do: some of these losses do not
    certain = torch.cat([embeddings, torch.zeros_like(embeddings)], dim=1)
    for epoch in (0, 100):
        losses = make(name, similarity=IntrospectiveSimilarity(gamma=0.0)), make(name)
        for loss in losses:
            if hasattr(loss, "start_epoch"):
                loss.start_epoch(epoch)
        values = []
        for loss, given in zip(losses, (certain, embeddings), strict=True):
            torch.manual_seed(0)  # some losses draw
            values.append(loss(given, labels))
        torch.testing.assert_close(*values)
        gradients = [torch.autograd.grad(value, raw, retain_graph=True)[0] for value in values]
        torch.testing.assert_close(*gradients)


@pytest.mark.slow
@pytest.mark.parametrize("name", ABLE)
def test_the_uncertainty_and_the_proxies_learn(name):
    loss, x = make(name, similarity=IntrospectiveSimilarity()), rows()
    loss(x, torch.arange(20) % C).backward()
    assert x.grad.isfinite().all()
    assert x.grad[:, D:].abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())
    with pytest.raises(ValueError, match=r"embeddings must be \(B, 12\)"):
        loss(x[:, :D], torch.arange(20) % C)


def test_a_memory_of_pairs_keeps_uncertainties_and_proxy_isa_does_not():
    for name, width in (("multi_similarity_memory", 2 * D), ("proxy_isa", D)):
        loss = make(name, similarity=IntrospectiveSimilarity())
        loss.start_epoch(2)  # memory, and no filter yet
        loss(rows(), torch.arange(20) % C)
        assert loss.memory.features.shape[1] == width
        torch.testing.assert_close(loss.memory.features[: int(loss.memory.written)], rows()[:, :width].detach())


def test_unbounded_products_take_no_similarity():
    assert not LOSSES["NPair"].takes_similarity
