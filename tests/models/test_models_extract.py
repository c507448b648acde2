"""Embedding a whole loader."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dml.models.extract import embed
from dml.structures import Batch, ModelOutput

CPU = torch.device("cpu")


class Mean(nn.Module):
    """Embeds an image by its channel means; batch normalisation makes the mode visible."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(3)

    def forward(self, images: torch.Tensor) -> ModelOutput:
        features = self.bn(images).mean(dim=(2, 3))
        return ModelOutput(features, features)


def batches(sizes: list[int]) -> list[Batch]:
    """Batches of these sizes; image i is full of the number i and has label i // 2."""
    numbers = torch.arange(sum(sizes))
    images = numbers[:, None, None, None].float().expand(-1, 3, 2, 2)
    return [Batch(i, n // 2, n) for i, n in zip(images.split(sizes), numbers.split(sizes), strict=True)]


@pytest.mark.parametrize("sizes", [[4], [3, 3, 1]])
def test_rows_come_in_the_order_of_the_batches(sizes):
    model = Mean()
    embeddings, labels, indices = embed(model, batches(sizes), CPU)
    expected = torch.arange(sum(sizes)).float()[:, None].expand(-1, 3)
    torch.testing.assert_close(embeddings, expected / (1 + 1e-5) ** 0.5)
    assert torch.equal(indices, torch.arange(sum(sizes)))
    assert torch.equal(labels, indices // 2)
    assert embeddings.dtype == torch.float32
    assert not model.bn.running_mean.any()


@pytest.mark.parametrize("training", [True, False])
def test_the_training_mode_is_restored_even_after_a_failure(training):
    model = Mean().train(training)
    embed(model, batches([2]), CPU)
    assert model.training is training
    with pytest.raises(RuntimeError):
        embed(model, [Batch(torch.zeros(1, 4, 2, 2), torch.zeros(1), torch.zeros(1))], CPU)
    assert model.training is training


def test_results_can_take_part_in_autograd():
    embeddings, *_ = embed(Mean(), batches([2]), CPU)
    weight = torch.ones(3, requires_grad=True)
    (embeddings @ weight).sum().backward()
    assert weight.grad is not None


def test_autocast_contexts_surround_the_forward_pass():
    seen = []

    class Probe(Mean):
        def forward(self, images: torch.Tensor) -> ModelOutput:
            seen.append(torch.is_autocast_enabled("cpu"))
            return super().forward(images)

    embeddings, *_ = embed(Probe(), batches([2, 1]), CPU, autocast=lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    assert seen == [True, True]
    assert embeddings.dtype == torch.float32


def test_progress_is_shown_only_on_request_and_to_a_person(capsys, monkeypatch):
    for terminal, progress, shown in ((True, None, False), (False, "test images", False), (True, "test images", True)):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        embed(Mean(), batches([2]), CPU, progress=progress)
        assert ("test images" in capsys.readouterr().err) == shown


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="no images to embed"):
        embed(Mean(), [], CPU)
