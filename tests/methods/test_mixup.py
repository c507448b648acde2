"""Steps with a mixed batch beside the plain one, and what the uncertainty head learns in them."""

from __future__ import annotations

import pytest
import torch

from dml.data.samplers import RandomSampler
from dml.losses import create_loss
from dml.losses.similarity import IntrospectiveSimilarity
from dml.methods.mixup import MixupMethod, mix
from dml.methods.supervised import SupervisedMethod
from dml.models import create_model
from dml.structures import Batch, Progress

B, C, D = 8, 3, 8
LABELS = torch.arange(B) % C


def batch() -> Batch:
    images = torch.randn(B, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Batch(images, LABELS, torch.arange(B))


def method(loss: str = "proxy_anchor", kind: type[SupervisedMethod] = MixupMethod, **network) -> SupervisedMethod:
    torch.manual_seed(1)
    options = {"embedding_size": D, "pretrained": False, "uncertainty": True, "bn_freeze": True} | network
    built = kind(
        model=create_model("resnet18", **options),
        criterion=create_loss(loss, num_classes=C, embedding_size=D, similarity=IntrospectiveSimilarity()),
        sampler=RandomSampler(LABELS.numpy(), batch_size=B),
        warm=1,
    )
    return built.train()


def test_images_and_labels_are_mixed_alike():
    torch.manual_seed(5)
    mixed = mix(batch())
    torch.manual_seed(5)
    order, share = torch.randperm(B), torch.rand(())
    images = batch().images
    torch.testing.assert_close(mixed.images, share * images + (1 - share) * images[order])
    assert mixed.partner_labels.tolist() == LABELS[order].tolist()
    assert 0 <= float(mixed.share) <= 1
    assert len({float(mix(batch()).share) for _ in range(5)}) == 5


def test_together_where_normalisation_is_frozen_apart_where_not():
    """In evaluation mode both ways see the same statistics, so they must give the same rows."""
    passes = {}
    for frozen in (True, False):
        mixing = method(bn_freeze=frozen).eval()
        calls = []
        mixing.model.register_forward_hook(lambda module, images, output, calls=calls: calls.append(len(images[0])))
        torch.manual_seed(2)
        passes[frozen] = mixing(batch(), Progress(1, 2)).loss
        assert calls == ([2 * B] if frozen else [B, B])
    torch.testing.assert_close(passes[True], passes[False])


def test_apart_where_the_head_normalises_batches():
    mixing, calls = method(head="mlp_bn"), []
    mixing.model.register_forward_hook(lambda module, images, output: calls.append(len(images[0])))
    mixing(batch(), Progress(1, 2))
    assert calls == [B, B]


def test_the_loss_is_the_sum_of_its_parts():
    mixing = method().eval()
    torch.manual_seed(2)
    step = mixing(batch(), Progress(1, 2))
    torch.manual_seed(2)
    mixed, loss = mix(batch()), mixing.criterion
    rows = [mixing.describe(images, 1) for images in (batch().images, mixed.images)]
    plain, own, other = loss(rows[0], LABELS), loss(rows[1], LABELS), loss(rows[1], mixed.partner_labels)
    torch.testing.assert_close(step.logs["plain_loss"], plain.detach())
    torch.testing.assert_close(step.loss, plain + mixed.share * own + (1 - mixed.share) * other)


def test_mixed_images_leave_counters_and_memories_alone():
    states = []
    for kind in (SupervisedMethod, MixupMethod):
        trained = method("proxy_isa", kind)
        trained.start_epoch(Progress(2, 4))
        trained(batch(), Progress(2, 4))
        assert trained.criterion.training
        states.append(dict(trained.criterion.named_buffers()))
    assert int(states[0]["counter"].sum()) == B
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-5)  # the network saw other batches


@pytest.mark.parametrize("uncertainty_norm", [False, True])
def test_the_uncertainty_head_learns_unless_it_is_normalised(uncertainty_norm):
    """Of unit length, as published, uncertainties all weigh the same and no gradient can change that."""
    introspective = method(uncertainty_norm=uncertainty_norm)
    introspective(batch(), Progress(1, 2)).loss.backward()
    head, embedding = introspective.model.uncertainty.weight.grad, introspective.model.embedding.weight.grad
    ratio = float(head.norm() / embedding.norm())
    assert ratio < 1e-5 if uncertainty_norm else ratio > 1e-3


def test_the_uncertainty_head_trains_in_the_warm_up():
    introspective = method()
    introspective.start_epoch(Progress(0, 2))
    introspective(batch(), Progress(0, 2)).loss.backward()
    assert introspective.model.uncertainty.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in introspective.model.backbone_parameters())
