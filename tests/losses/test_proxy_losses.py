"""Proxy losses against their plain versions, and in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from dml.losses.functional import log1p_sum_exp, log1p_sum_exp_by_class
from dml.losses.proxies.proxy_anchor import ProxyAnchorLoss
from dml.losses.proxies.proxy_nca import ProxyNCADistances, ProxyNCAWithoutPositive, ProxyNCAWithPositive
from losses.plain import proxy_anchor_binarized, proxy_anchor_loop, proxy_nca_loop

B, C, D = 31, 6, 10


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(B, D, dtype=torch.float64, generator=generator, requires_grad=True)
    return embeddings, torch.randint(0, C - 1, (B,), generator=generator)  # one class is absent


@pytest.mark.parametrize("plain", [proxy_anchor_loop, proxy_anchor_binarized])
def test_proxy_anchor_equals_plain(data, plain):
    embeddings, labels = data
    loss = ProxyAnchorLoss(num_classes=C, embedding_size=D, margin=0.2, alpha=16.0).double()
    torch.testing.assert_close(loss(embeddings, labels), plain(embeddings, labels, loss.proxies, 0.2, 16.0))


def test_proxy_anchor_two_classes_equals_loop(data):
    embeddings, labels = data
    loss = ProxyAnchorLoss(num_classes=2, embedding_size=D).double()
    expected = proxy_anchor_loop(embeddings, labels % 2, loss.proxies, 0.1, 32.0)
    torch.testing.assert_close(loss(embeddings, labels % 2), expected)


def test_proxy_anchor_closed_form():
    """One sample on its proxy, the other proxy orthogonal: log(1 + e^{−α(1−δ)}) + ½·log(1 + e^{αδ})."""
    loss = ProxyAnchorLoss(num_classes=2, embedding_size=2).double()
    with torch.no_grad():
        loss.proxies.copy_(torch.eye(2, dtype=torch.float64))
    value = loss(torch.tensor([[3.0, 0.0]], dtype=torch.float64), torch.tensor([0]))
    expected = math.log1p(math.exp(-32 * 0.9)) + 0.5 * math.log1p(math.exp(3.2))
    assert float(value.detach()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("kind", "kept"), [(ProxyNCAWithoutPositive, False), (ProxyNCAWithPositive, True)])
def test_proxy_nca_equals_loop(data, kind, kept):
    embeddings, labels = data
    loss = kind(num_classes=C, embedding_size=D, scale=5.0).double()
    torch.testing.assert_close(loss(embeddings, labels), proxy_nca_loop(embeddings, labels, loss.proxies, 5.0, kept))


def test_proxy_nca_of_distances_is_that_at_scale_18(data):
    """Of unit vectors, up to rounding; its own proxies begin shorter."""
    embeddings, labels = data
    distances = ProxyNCADistances(num_classes=C, embedding_size=D).double()
    plain = ProxyNCAWithoutPositive(num_classes=C, embedding_size=D, scale=18.0).double()
    plain.load_state_dict(distances.state_dict())
    unit = torch.nn.functional.normalize(embeddings)
    torch.testing.assert_close(distances(embeddings, labels), plain(unit, labels))


def test_proxy_nca_keeps_the_sample_that_errs_most():
    """Its probability underflows in float32; the library would drop it, here it has the largest loss."""
    loss = ProxyNCAWithPositive(num_classes=2, embedding_size=2, scale=100.0)
    with torch.no_grad():
        loss.proxies.copy_(torch.eye(2) * 2 - 1)
    value = loss(torch.tensor([[1.0, -1.0]]), torch.tensor([1]))
    assert float(value.detach()) == pytest.approx(400.0, rel=1e-3)


def test_proxy_nca_refuses_a_single_class():
    with pytest.raises(ValueError, match="at least 2"):
        ProxyNCAWithoutPositive(num_classes=1, embedding_size=2)


def test_log1p_sum_exp_empty_and_huge():
    values = torch.tensor([[1e4, -torch.inf], [0.0, -torch.inf]], requires_grad=True)
    result = log1p_sum_exp(values, dim=0)
    torch.testing.assert_close(result, torch.tensor([1e4, 0.0]))
    result.sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_log1p_sum_exp_by_class_empty_and_huge():
    values = torch.tensor([1e4, 0.0, -3.0], requires_grad=True)
    result = log1p_sum_exp_by_class(values, torch.tensor([2, 2, 0]), 3)
    torch.testing.assert_close(result, torch.tensor([math.log1p(math.exp(-3)), 0.0, 1e4]))
    result.sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([1.0, 0.0, 1 / (1 + math.exp(3))]))
