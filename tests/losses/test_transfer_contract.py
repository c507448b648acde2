"""What every transfer loss of the registry must do."""

from __future__ import annotations

import pytest
import torch

from dml.errors import UserError
from dml.losses.transfer import TRANSFER_LOSSES, Representation, TransferSizes, create_transfer_loss

ROWS, IMAGES = 16, 8
SIZES = TransferSizes(
    target_features=7,
    source_features=9,
    target_channels=(3, 5),
    source_channels=(4, 6),
    labels=torch.arange(IMAGES) // 2,
)
INDICES = torch.arange(IMAGES).repeat(2)
LABELS = SIZES.labels[INDICES]


@pytest.fixture(params=list(TRANSFER_LOSSES))
def name(request) -> str:
    return request.param


def make(name: str) -> torch.nn.Module:
    torch.manual_seed(3)
    return create_transfer_loss(name, sizes=SIZES)


def leaves(seed: int, embedding: int, features: int, channels: tuple[int, ...]) -> list[torch.Tensor]:
    """Embedding, features and maps of a network, with gradient."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(ROWS, embedding), (ROWS, features), *((ROWS, c, 2, 3) for c in channels)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def represent(tensors: list[torch.Tensor]) -> Representation:
    return Representation(tensors[0], tensors[1], tuple(tensors[2:]))


@pytest.fixture
def target() -> list[torch.Tensor]:
    return leaves(0, 8, SIZES.target_features, SIZES.target_channels)


@pytest.fixture
def source() -> list[torch.Tensor]:
    return leaves(1, 10, SIZES.source_features, SIZES.source_channels)


def value(loss, target, source, order=slice(None)):
    pick = [represent([tensor[order] for tensor in tensors]) for tensors in (target, source)]
    torch.manual_seed(5)  # CRD draws negatives
    return loss(*pick, labels=LABELS[order], indices=INDICES[order])


def read_by(name: str, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return {"embeddings": tensors[:1], "features": tensors[1:2], "maps": tensors[2:]}[TRANSFER_LOSSES[name].needs]


def test_scalar_finite_and_differentiable_in_what_it_says_it_needs(name, target, source):
    loss = make(name)
    result = value(loss, target, source)
    result.backward()
    assert result.shape == ()
    assert torch.isfinite(result)
    read = read_by(name, target)
    for tensor in target:
        assert (tensor.grad is not None) == any(tensor is other for other in read)
    for tensor in [*read, *loss.parameters()]:
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().sum() > 0


def test_only_learned_heads_let_a_gradient_reach_the_source(name, target, source):
    value(make(name), target, source).backward()
    assert all(tensor.grad is None for tensor in source) or name == "crd"


def test_order_of_the_batch_does_not_matter(name, target, source):
    if name == "crd":
        pytest.skip("draws negatives per row")
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(value(make(name), target, source, order), value(make(name), target, source))


def test_state_dict_round_trip_continues_alike(name, target, source):
    loss = make(name)
    value(loss, target, source)
    torch.manual_seed(99)
    other = create_transfer_loss(name, sizes=SIZES)
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(value(other, target, source), value(loss, target, source))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_finite_and_close(name, target, source, dtype):
    half = [[tensor.detach().to(dtype).requires_grad_() for tensor in tensors] for tensors in (target, source)]
    result = value(make(name), *half)
    result.backward()
    assert torch.isfinite(result)
    assert all(tensor.grad.isfinite().all() for tensor in read_by(name, half[0]))
    torch.testing.assert_close(result.float(), value(make(name), target, source), rtol=0.1, atol=0.1)


def test_collapsed_and_duplicate_rows_stay_finite(name, target, source):
    same = [tensor.detach()[:1].expand_as(tensor).clone().requires_grad_() for tensor in target]
    result = value(make(name), same, source)
    result.backward()
    assert torch.isfinite(result)
    assert all(tensor.grad.isfinite().all() for tensor in read_by(name, same))


@pytest.mark.slow
def test_training_steps_reduce_it(name, target, source):
    loss = make(name)
    optimizer = torch.optim.Adam([*target, *loss.parameters()], lr=0.02)
    values = []
    for _ in range(30):
        optimizer.zero_grad()
        result = value(loss, target, source)
        result.backward()
        optimizer.step()
        values.append(float(result.detach()))
    assert values[-1] < values[0]


def test_refuses_rows_that_do_not_fit(name, target, source):
    half = [tensor[: ROWS // 2] for tensor in source]
    with pytest.raises(ValueError, match=r"same B|agree in B"):
        make(name)(represent(target), represent(half), labels=LABELS, indices=INDICES)


def test_the_smallest_batch(name, target, source):
    fewest = TRANSFER_LOSSES[name].fewest_rows
    assert torch.isfinite(value(make(name), target, source, slice(fewest)))
    if fewest > 1:
        with pytest.raises(UserError, match="raise --batch-size"):
            value(make(name), target, source, slice(fewest - 1))


def test_options_reach_the_loss_and_unknown_ones_are_refused(name):
    for flag, option in TRANSFER_LOSSES[name].options.items():
        chosen = type(TRANSFER_LOSSES[name].default(flag))(3)
        loss = create_transfer_loss(name, sizes=SIZES, options={flag: chosen})
        assert getattr(loss, option.argument) == chosen
    with pytest.raises(UserError, match=rf"transfer loss {name} \(\w+\) has no option 'nonsense': i"):
        create_transfer_loss(name, sizes=SIZES, options={"nonsense": 1})


def test_published_names():
    published = {"Relaxed_Contra", "Relaxed_MS", "RKD", "PKT", "DarkRank", "Attention", "FitNet", "CRD"}
    assert set(TRANSFER_LOSSES.aliases) == published
    assert {name for name, spec in TRANSFER_LOSSES.items() if spec.with_proxy_anchor} == {"attention", "fitnet", "crd"}


@pytest.mark.gpu
def test_cpu_and_gpu_agree(name, target, source):
    if name == "crd":
        pytest.skip("draws negatives from the device's generator")
    on_gpu = [represent([tensor.cuda() for tensor in tensors]) for tensors in (target, source)]
    result = make(name).cuda()(*on_gpu, labels=LABELS.cuda(), indices=INDICES.cuda())
    torch.testing.assert_close(result.cpu(), value(make(name), target, source), rtol=1e-4, atol=1e-5)
