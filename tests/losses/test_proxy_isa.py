"""Proxy-ISA against the loop over classes through all phases, and at its edges."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from dml.losses.proxies.proxy_anchor import ProxyAnchorLoss
from dml.losses.proxies.proxy_isa import ProxyISALoss
from losses.plain_isa import ProxyISALoop

B, C, D = 12, 5, 8


def batch(step: int, *, noise: float = 1.0):
    """Unit vectors around class centres; the last class is never seen."""
    generator = torch.Generator().manual_seed(step)
    centres = torch.eye(C, D, dtype=torch.float64)
    labels = torch.randint(C - 1, (B,), generator=generator)
    spread = noise * torch.randn(B, D, dtype=torch.float64, generator=generator)
    return normalize(centres[labels] + spread).requires_grad_(), labels


def make(**options) -> ProxyISALoss:
    torch.manual_seed(1)
    options = {"memory_size": 30, "memory_from_epoch": 2, "V": 6.0, "h": 0.9} | options
    return ProxyISALoss(num_classes=C, embedding_size=D, **options).double()


def outliers(loss: ProxyISALoss, step: int) -> int:
    embeddings, labels = batch(step)
    own = (embeddings @ normalize(loss.proxies).T)[range(B), labels]
    return int((own < loss.class_thresholds().outlier[labels]).sum())


def test_every_phase_equals_the_loop():
    loss = make()
    plain = ProxyISALoop(loss.proxies, memory_size=30, V=6.0, h=0.9)
    filtered = 0
    for step in range(16):
        loss.start_epoch(step // 4)
        plain.memory_enabled, plain.filter_enabled = step >= 8, step >= 12
        filtered += outliers(loss, step) * plain.filter_enabled
        embeddings, labels = batch(step)
        ours, theirs = loss(embeddings, labels), plain(embeddings, labels)
        torch.testing.assert_close(ours, theirs)
        gradients = [torch.autograd.grad(value, [embeddings, loss.proxies]) for value in (ours, theirs)]
        torch.testing.assert_close(*gradients)
        for name, values in (
            ("counter", plain.counter),
            ("effective_number", plain.effective),
            ("learned_similarity", plain.learned),
        ):
            torch.testing.assert_close(getattr(loss, name), torch.tensor(values, dtype=torch.float64), msg=name)
        assert int(loss.memory.pointer) == plain.pointer
        with torch.no_grad():
            loss.proxies -= 0.05 * gradients[0][1]
    assert 0 < filtered < 4 * B
    assert loss.memory.filled().all()


def test_without_filter_and_history_it_is_proxy_anchor():
    """In the first step all weights are 1 but those of negatives far below; here there are none."""
    loss, anchor = make(), ProxyAnchorLoss(num_classes=C, embedding_size=D).double()
    anchor.load_state_dict({"proxies": loss.proxies})
    with torch.no_grad():
        loss.learned_similarity.fill_(-1.0)
    torch.testing.assert_close(loss(*batch(0)), anchor(*batch(0)))


@pytest.mark.parametrize(
    ("epoch", "memory", "keeps_out"), [(0, False, False), (1, False, False), (2, True, False), (3, True, True)]
)
def test_phases_follow_from_the_epoch(epoch, memory, keeps_out):
    loss = make()
    loss.start_epoch(epoch)
    assert (loss.memory_enabled, loss.filter_enabled) == (memory, keeps_out)
    without = make(memory_size=None)
    without.start_epoch(epoch)
    assert (without.memory_enabled, without.filter_enabled) == (False, False)


def test_a_batch_of_outliers_alone_changes_nothing_but_has_a_gradient():
    """The published code crashes here."""
    loss = make()
    for step, epoch in enumerate((0, 2, 2)):
        loss.start_epoch(epoch)
        loss(*batch(step))
    loss.start_epoch(3)
    _, labels = batch(7)
    embeddings = -normalize(loss.proxies.detach())[labels].requires_grad_()
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    embeddings.retain_grad()
    value = loss(embeddings, labels)
    value.backward()
    assert torch.isfinite(value)
    assert embeddings.grad.abs().sum() > 0
    after = loss.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed <= {"learned_similarity"}


def test_a_class_that_was_never_seen_keeps_its_state():
    loss = make()
    for step in range(6):
        loss.start_epoch(step)
        assert torch.isfinite(loss(*batch(step)))
    assert float(loss.counter[-1]) == float(loss.effective_number[-1]) == 0
    assert float(loss.learned_similarity[-1]) == 1


def test_a_single_class_has_nothing_to_repel():
    loss = ProxyISALoss(num_classes=1, embedding_size=D, memory_size=30).double()
    embeddings, _ = batch(0)
    for epoch in range(5):
        loss.start_epoch(epoch)
        value = loss(embeddings, torch.zeros(B, dtype=torch.int64))
        value.backward()
        assert torch.isfinite(value)
        assert loss.proxies.grad.isfinite().all()


def test_a_large_v_does_not_overflow():
    loss = make(V=1e5)
    for epoch in range(5):
        loss.start_epoch(epoch)
        assert torch.isfinite(loss(*batch(epoch)))


def test_state_in_the_last_phase_survives_a_round_trip():
    loss = make()
    for epoch in range(5):
        loss.start_epoch(epoch)
        loss(*batch(epoch))
    other = make()
    other.load_state_dict(loss.state_dict())
    other.start_epoch(5)
    for step in (5, 6):
        torch.testing.assert_close(other(*batch(step)), loss(*batch(step)), rtol=0, atol=0)


def test_state_stays_in_double_precision():
    loss = ProxyISALoss(num_classes=C, embedding_size=D, memory_size=30)
    loss(torch.eye(4, D), torch.arange(4))
    assert loss.counter.dtype == loss.effective_number.dtype == loss.learned_similarity.dtype == torch.float64


def test_refuses_v_below_one():
    with pytest.raises(ValueError, match="--V must be at least 1"):
        make(V=0.5)
