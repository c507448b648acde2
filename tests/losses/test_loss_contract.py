"""What every loss of the registry must do."""

from __future__ import annotations

import pytest
import torch

from dml.errors import UserError
from dml.losses import LOSSES, create_loss
from dml.losses.mined import MinedLoss
from dml.miners import MINERS, PairSets, Triplets

CLASSES, SIZE = 7, 16


def batch(seed: int = 0, rows: int = 24, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.nn.functional.normalize(torch.randn(rows, SIZE, generator=generator), dim=1).to(dtype)
    labels = torch.arange(rows) % CLASSES
    return embeddings.requires_grad_(), labels


class AllTriplets:
    """Every triplet of a batch."""

    gives = "triplets"

    def __call__(self, distances, labels):
        same = labels[:, None] == labels
        pairs = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        return Triplets(*(pairs[:, :, None] & ~same[:, None, :]).nonzero(as_tuple=True))


class AllPairs:
    """Every sample with both a positive and a negative, with all of them."""

    gives = "sets"

    def __call__(self, distances, labels):
        same = labels[:, None] == labels
        pairs = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        anchors = (pairs.any(1) & ~same.all(1)).nonzero().squeeze(1)
        return PairSets(anchors, pairs[anchors], ~same[anchors])


EVERY_TUPLE = {"triplets": AllTriplets(), "sets": AllPairs()}

LAST_PHASE = ", last phase"  # a loss with a memory is tried in its first phase and in its last


@pytest.fixture(params=[*LOSSES, *(name + LAST_PHASE for name, spec in LOSSES.items() if spec.with_memory == name)])
def name(request) -> str:
    return request.param


def make(name: str, num_classes: int = CLASSES, seed: int = 3) -> torch.nn.Module:
    torch.manual_seed(seed)
    loss = create_loss(name.removesuffix(LAST_PHASE), num_classes=num_classes, embedding_size=SIZE)
    tuples = LOSSES[name.removesuffix(LAST_PHASE)].tuples
    if tuples:
        loss = MinedLoss(loss, EVERY_TUPLE[tuples])
    if name.endswith(LAST_PHASE):
        loss.start_epoch(100)
    return loss


def drawn_alike(loss: torch.nn.Module, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss with the same random draws each time, of one that draws."""
    torch.manual_seed(5)
    return loss(embeddings, labels)


def test_scalar_finite_and_differentiable(name):
    loss, (embeddings, labels) = make(name), batch()
    value = loss(embeddings, labels)
    value.backward()
    assert value.shape == ()
    assert torch.isfinite(value)
    assert embeddings.grad.isfinite().all()
    assert embeddings.grad.abs().sum() > 0
    for parameter in loss.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0


def test_spec_says_whether_there_are_parameters(name):
    assert (LOSSES[name.removesuffix(LAST_PHASE)].lr_scale is not None) == bool(list(make(name).parameters()))


def test_miners_of_a_spec_give_its_tuples(name):
    spec = LOSSES[name.removesuffix(LAST_PHASE)]
    assert bool(spec.miners) == bool(spec.tuples)
    assert {MINERS[miner].gives for miner in spec.miners} <= {spec.tuples}


def test_options_are_taken_with_their_defaults(name):
    """A command line makes each flag's type from its default."""
    name = name.removesuffix(LAST_PHASE)
    options = {flag: LOSSES[name].default(flag) for flag in LOSSES[name].options}
    assert {type(value) for value in options.values()} <= {bool, int, float}
    create_loss(name, num_classes=CLASSES, embedding_size=SIZE, options=options)


ORDERED = ("npairs_unnormalized", "quadruplet_all_combinations")  # picks the first pair; draws by position


@pytest.mark.parametrize("name", [n for n in LOSSES if n not in ORDERED])
def test_order_of_the_batch_does_not_matter(name):
    embeddings, labels = batch()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(make(name)(embeddings[order], labels[order]), make(name)(embeddings, labels))


def test_evaluation_mode_leaves_the_state_alone(name):
    loss, (embeddings, labels) = make(name), batch()
    loss(embeddings, labels)
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    loss.eval()
    values = [drawn_alike(loss, embeddings, labels) for _ in range(2)]
    torch.testing.assert_close(*values, rtol=0, atol=0)
    torch.testing.assert_close(dict(loss.state_dict()), before, rtol=0, atol=0)


def test_state_dict_round_trip(name):
    loss, (embeddings, labels) = make(name), batch()
    other = make(name, seed=99)
    other.load_state_dict(loss.state_dict())
    values = [drawn_alike(module, embeddings, labels) for module in (other, loss)]
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("labels", [torch.zeros(6, dtype=torch.long), torch.arange(6)], ids=["one class", "all differ"])
def test_batches_without_pairs_stay_finite(name, labels):
    loss, embeddings = make(name), batch(rows=6)[0]
    value = loss(embeddings, labels)
    value.backward()
    assert torch.isfinite(value)
    assert embeddings.grad is None or embeddings.grad.isfinite().all()


def test_two_classes(name):
    loss, (embeddings, _) = make(name, num_classes=2), batch()
    value = loss(embeddings, torch.arange(len(embeddings)) % 2)
    value.backward()
    assert torch.isfinite(value)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_finite_and_close(name, dtype):
    embeddings, labels = batch()
    expected = make(name)(embeddings, labels)
    half = embeddings.detach().to(dtype).requires_grad_()
    value = make(name)(half, labels)
    value.backward()
    assert torch.isfinite(value)
    assert half.grad.isfinite().all()
    torch.testing.assert_close(value.float(), expected.float(), rtol=0.1, atol=0.1)


def test_identical_and_opposite_embeddings_stay_finite(name):
    """The extremes of similarity, at which a sum of exponentials overflows first."""
    loss, (embeddings, labels) = make(name), batch()
    signs = torch.where(torch.arange(len(labels)) % 2 == 0, 1.0, -1.0)[:, None]
    extreme = (embeddings.detach()[:1] * signs).requires_grad_()
    value = loss(extreme, labels)
    value.backward()
    assert torch.isfinite(value)
    assert extreme.grad is None or extreme.grad.isfinite().all()


@pytest.mark.slow
def test_training_steps_reduce_it(name):
    """Judged as it began: what a loss counts may change the scale of its values."""
    if name == "adversarial_separation":
        pytest.skip("embeddings climb what its own parameters descend")
    loss, (embeddings, labels) = make(name), batch(rows=2 * CLASSES)
    points = embeddings.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([points, *loss.parameters()], lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        loss(torch.nn.functional.normalize(points, dim=1), labels).backward()
        optimizer.step()
    judge = make(name.removesuffix(LAST_PHASE))
    before = judge.eval()(embeddings, labels)
    judge.load_state_dict(dict(loss.named_parameters()), strict=False)
    assert judge(torch.nn.functional.normalize(points, dim=1), labels) < before


def test_refuses_what_does_not_fit(name):
    loss, (embeddings, labels) = make(name), batch()
    with pytest.raises(ValueError, match=r"embeddings must be \(B, 16\)"):
        loss(embeddings[:, :3], labels)
    with pytest.raises(ValueError, match="labels must be"):
        loss(embeddings, labels[:3])
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.6"):
        loss(embeddings, labels + 1)


@pytest.mark.gpu
def test_cpu_and_gpu_agree(name):
    if name == "quadruplet_all_combinations":
        pytest.skip("it draws, and each device has draws of its own")
    loss, (embeddings, labels) = make(name), batch()
    on_gpu = make(name).cuda()(embeddings.cuda(), labels.cuda())
    torch.testing.assert_close(on_gpu.cpu(), loss(embeddings, labels), rtol=1e-4, atol=1e-5)


def test_unknown_option_and_name():
    told = r"loss proxy_anchor \(Proxy_Anchor, ProxyAnchor\) has no option 'delta': its options are alpha, mrg$"
    with pytest.raises(UserError, match=told):
        create_loss("proxy_anchor", num_classes=3, embedding_size=4, options={"delta": 1.0})
    with pytest.raises(ValueError, match="Did you mean 'proxy_anchor'"):
        create_loss("Proxy_anchor", num_classes=3, embedding_size=4)
