"""A batch in pieces: the loss, gradients and statistics of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dml.methods.base import Method
from dml.methods.pieces import in_pieces
from dml.structures import Batch, Progress
from methods.test_steps_of_two_processes import CASES, IMAGES, LABELS, SMALL

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def step(case: str, pieces: int) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one step with batch normalisation frozen."""
    build, arguments = CASES[case]
    torch.manual_seed(0)
    with SMALL:
        method: Method = build(*arguments).train()
    for module in method.modules():
        if isinstance(module, NORMS):
            module.eval()
    method.pieces, views = pieces, method.num_views
    images = torch.randn(views * IMAGES, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    if case.startswith("transfer"):
        images = torch.nn.functional.interpolate(images, size=32)
    batch = Batch(images, LABELS.repeat(views), torch.arange(IMAGES).repeat(views), num_views=views)
    torch.manual_seed(1)
    method.start_epoch(Progress(1, 2))
    loss = method(batch, Progress(1, 2)).loss
    loss.backward()
    gradients = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    return loss.item(), gradients


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", list(CASES))
def test_a_step_in_pieces_is_that_of_the_batch(case):
    (whole, expected), (cut, gradients) = step(case, 1), step(case, 4)
    assert cut == pytest.approx(whole, rel=1e-5)  # of convolutions over other numbers of images, by other kernels
    assert gradients.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(gradients[name], value, rtol=1e-4, atol=1e-4 * max(largest, 1e-3))


def network(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


IMAGES_OF_SEVEN = torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_random_numbers_are_those_of_the_first_pass():
    """The gradient is that of what was seen: of a loss linear in the output it is the output itself."""
    model = network(nn.Dropout(0.5))
    torch.manual_seed(5)
    output = in_pieces(model, IMAGES_OF_SEVEN, 3)
    output.sum().backward()
    weight = model[-1].weight
    # Σ outputs = Σ_k w_k · h_k + 7 b, so that w · dL/dw gives it back only with the same units dropped.
    torch.testing.assert_close((weight * weight.grad).sum() + 7 * model[-1].bias.sum(), output.sum())


def test_running_statistics_move_once():
    plain, cut = network(nn.BatchNorm2d(4)).train(), network(nn.BatchNorm2d(4)).train()
    for piece in IMAGES_OF_SEVEN.tensor_split(3):
        plain(piece)
    in_pieces(cut, IMAGES_OF_SEVEN, 3).sum().backward()
    for name, value in plain.state_dict().items():
        assert torch.equal(cut.state_dict()[name], value), name


def test_activations_are_those_of_a_piece():
    """Nothing is kept for the backward pass but the pieces themselves and what the network gives."""
    kept = []

    def keep(tensor):
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        in_pieces(network(), IMAGES_OF_SEVEN, 3).square().sum()
    assert kept == [*((rows, 3, 8, 8) for rows in (3, 2, 2)), (7, 2)]


def test_in_mixed_precision():
    results = []
    for pieces in (1, 3):
        model = network(nn.ReLU())
        with torch.autocast("cpu", torch.bfloat16):
            output = in_pieces(model, IMAGES_OF_SEVEN, pieces).float()
        output.square().sum().backward()
        results.append([output.detach(), *(p.grad for p in model.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other, one, rtol=2e-2, atol=2e-2)


def test_what_does_not_learn_passes_once():
    model, calls = network().requires_grad_(False), []
    model.register_forward_hook(lambda *_: calls.append(1))
    assert not in_pieces(model, IMAGES_OF_SEVEN, 3).requires_grad
    assert len(calls) == 3


def test_rows_of_features_go_through_whole():
    model, calls = nn.Linear(3, 2), []
    model.register_forward_hook(lambda *_: calls.append(1))
    in_pieces(model, torch.ones(7, 3), 3)
    assert len(calls) == 1
