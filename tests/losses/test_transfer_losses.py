"""Each transfer loss against its plain version, and what is particular to it."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dml.losses.distances import pairwise_distances
from dml.losses.transfer import Representation
from dml.losses.transfer.attention import AttentionLoss
from dml.losses.transfer.crd import CRDLoss
from dml.losses.transfer.darkrank import DarkRankLoss, all_violating_triplets
from dml.losses.transfer.fitnet import FitNetLoss
from dml.losses.transfer.negatives import OtherClassSampler
from dml.losses.transfer.pkt import PKTLoss
from dml.losses.transfer.relaxed_contrastive import RelaxedContrastiveLoss
from dml.losses.transfer.relaxed_ms import RelaxedMSLoss
from dml.losses.transfer.rkd import RKDLoss
from losses import plain_transfer as plain

B = 18
LABELS = torch.arange(B // 2).div(3, rounding_mode="floor").repeat(2)  # three images of three classes, two views
IMAGES = torch.arange(B // 2).repeat(2)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(B, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    return target, torch.randn(B, 9, dtype=torch.float64, generator=generator)


def value(loss: nn.Module, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    return loss(Representation(target), Representation(source), labels=LABELS, indices=IMAGES)


@pytest.mark.parametrize(
    ("loss", "oracle"),
    [
        (RelaxedContrastiveLoss(sigma=0.7, delta=1.3), lambda t, s: plain.relaxed_contrastive_loop(t, s, 0.7, 1.3)),
        (RelaxedMSLoss(), lambda t, s: plain.relaxed_ms_loop(t, s, forced=True)),
        (RelaxedMSLoss(forced_pairs=False), lambda t, s: plain.relaxed_ms_loop(t, s, forced=False)),
        (RKDLoss(), plain.rkd_loop),
        (PKTLoss(), plain.pkt_loop),
        (DarkRankLoss(), lambda t, s: plain.darkrank_loop(t, s, LABELS)),
    ],
    ids=["relaxed_contrastive", "relaxed_ms_forced", "relaxed_ms_unforced", "rkd", "pkt", "darkrank"],
)
def test_equals_the_plain_version(pair, loss, oracle):
    target, source = pair
    ours, expected = value(loss, target, source), oracle(target, source)
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(result, target)[0] for result in (ours, expected)]
    torch.testing.assert_close(*gradients)


def test_distances_far_from_the_origin_keep_their_digits():
    x = torch.randn(40, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pairwise_distances(x + 1000), pairwise_distances(x), rtol=1e-3, atol=1e-3)


def test_distances_of_duplicates_are_tiny_and_without_gradient():
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    distances = pairwise_distances(x)
    torch.testing.assert_close(distances[0, 1].detach(), torch.tensor(1e-6))
    distances[0, 1].backward()
    assert not x.grad.any()


def test_forced_pairs_follow_the_images_whatever_the_number_of_views(pair):
    """Forcing a pair equals a source in which the two rows coincide."""
    target, source = pair
    views = torch.cat([source[: B // 3]] * 3)
    images = torch.arange(B // 3).repeat(3)
    of_images = {"labels": LABELS, "indices": images}
    results = [
        RelaxedMSLoss(forced_pairs=forced)(Representation(target), Representation(views), **of_images)
        for forced in (True, False)
    ]
    torch.testing.assert_close(*results)


def test_triplets_equal_the_loop(pair):
    distances = torch.cdist(pair[0], pair[0]) / 3
    for margin in (-1.0, 0.0, 0.2, 5.0):
        ours, expected = (f(distances, LABELS, margin) for f in (all_violating_triplets, plain.triplets_loop))
        torch.testing.assert_close(ours, expected)
        if expected.requires_grad:
            torch.testing.assert_close(
                *(torch.autograd.grad(v, pair[0], retain_graph=True)[0] for v in (ours, expected))
            )


def test_darkrank_needs_more_rows_than_it_ranks(pair):
    with pytest.raises(ValueError, match="ranking 18 neighbours"):
        value(DarkRankLoss(permute_len=B), *pair)


def test_attention_ignores_scale_and_channels():
    target = torch.rand(4, 5, 3, 2)
    other = torch.cat([target, target], 1) * 7  # the same places, other channels
    result = AttentionLoss()(
        Representation(target, maps=(target,)), Representation(other, maps=(other,)), labels=LABELS, indices=IMAGES
    )
    assert float(result) == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_fitnet_learns_the_map_between_stages():
    torch.manual_seed(0)
    target = torch.randn(8, 5, 4, 4)
    source = F.conv2d(target, torch.randn(7, 5, 1, 1))
    loss = FitNetLoss(target_channels=[5], source_channels=[7])
    assert loss.adapters[0].weight.abs().max() <= 0.005
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        result = loss(
            Representation(target, maps=(target,)),
            Representation(source, maps=(source,)),
            labels=LABELS,
            indices=IMAGES,
        )
        result.backward()
        optimizer.step()
    assert result < 1e-3


@pytest.mark.parametrize(
    ("loss", "maps", "message"),
    [
        (AttentionLoss(), [(5, 4, 4)], "must come in pairs, got 1 and 2"),
        (AttentionLoss(), [(5, 4, 4), (7, 2, 3)], "agree in B, H and W"),
        (FitNetLoss(target_channels=[6, 7], source_channels=[5, 7]), [(5, 4, 4), (7, 2, 2)], "channels"),
    ],
)
def test_maps_that_do_not_fit_are_refused(loss, maps, message):
    source = Representation(torch.zeros(3, 1), maps=(torch.zeros(3, 5, 4, 4), torch.zeros(3, 7, 2, 2)))
    target = Representation(torch.zeros(3, 1), maps=tuple(torch.zeros(3, *shape) for shape in maps))
    with pytest.raises(ValueError, match=message):
        loss(target, source, labels=LABELS[:3], indices=IMAGES[:3])


# ------------------------------------------------------------------------------ CRD

CLASSES = torch.tensor([2, 0, 1, 0, 2, 2, 1, 0, 2, 2, 2, 1])


def crd(num_negatives: int = 5, labels: torch.Tensor = CLASSES) -> CRDLoss:
    torch.manual_seed(0)
    return CRDLoss(target_features=6, source_features=9, labels=labels, num_negatives=num_negatives, size=4).double()


@pytest.mark.parametrize("images", [12, 400], ids=["by products", "by gathering"])
def test_crd_equals_the_plain_version(pair, images):
    loss = crd(labels=torch.arange(images) % 3)
    choices = torch.randint(images, (B, 6), generator=torch.Generator().manual_seed(0))
    expected = plain.crd_loop(loss, *pair, choices)
    expected_gradient = torch.autograd.grad(expected, pair[0])[0]
    ours = loss.contrast(*pair, choices)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours, pair[0])[0], expected_gradient)


def test_crd_writes_the_mean_of_an_images_views_in_any_order(pair):
    target, source = (x.detach()[:6] for x in pair)
    indices = torch.tensor([3, 5, 3, 7, 5, 3])
    memories = []
    for order in (torch.arange(6), torch.tensor([4, 2, 0, 5, 1, 3])):
        loss = crd()
        before = loss.target_memory.clone()
        loss.contrast(target[order], source[order], indices[order][:, None].expand(-1, 6))
        memories.append(loss.target_memory)
    torch.testing.assert_close(*memories)
    views = F.normalize(loss.target_head(target))[indices == 3].mean(0)
    torch.testing.assert_close(memories[0][3], F.normalize(0.5 * before[3] + 0.5 * views, dim=0).detach())
    untouched = [i for i in range(12) if i not in (3, 5, 7)]
    assert torch.equal(memories[0][untouched], before[untouched])


def test_crd_keeps_its_normalisers_and_writes_in_training_only(pair):
    loss, choices = crd(), torch.randint(12, (B, 6))
    loss.contrast(*pair, choices)
    first, memory = loss.normalizers.clone(), loss.target_memory.clone()
    loss.eval()
    loss.contrast(pair[0] * 2, pair[1] * 3, choices)
    assert torch.equal(loss.normalizers, first)
    assert torch.equal(loss.target_memory, memory)
    assert set(loss.state_dict()) == {
        "target_memory",
        "source_memory",
        "normalizers",
        *(f"{side}_head.{name}" for side in ("target", "source") for name in ("weight", "bias")),
    }


def test_crd_refuses_foreign_indices(pair):
    source = Representation(pair[1], pair[1])
    with pytest.raises(ValueError, match=r"indices must lie in 0\.\.11"):
        crd()(Representation(pair[0], pair[0]), source, labels=LABELS, indices=torch.arange(B))
    with pytest.raises(ValueError, match="CRD needs features"):
        crd()(Representation(pair[0]), source, labels=LABELS, indices=IMAGES)


def test_negatives_are_uniform_over_the_other_classes():
    torch.manual_seed(0)
    images = torch.arange(len(CLASSES))
    drawn = OtherClassSampler(CLASSES).draw(images, 20_000)
    assert not (CLASSES[drawn] == CLASSES[:, None]).any()
    for image in images.tolist():
        others = CLASSES.ne(CLASSES[image])
        counts = drawn[image].bincount(minlength=len(CLASSES)).double()
        expected = 20_000 / int(others.sum())
        assert (counts[others] - expected).abs().max() < 5 * math.sqrt(expected)


def test_negatives_need_a_second_class():
    with pytest.raises(ValueError, match="at least two classes"):
        OtherClassSampler(torch.zeros(5, dtype=torch.long))


def test_negatives_state_does_not_grow_with_pairs_of_class_and_image():
    sampler = OtherClassSampler(torch.arange(60_000) // 5)
    assert sum(buffer.numel() for buffer in sampler.buffers()) <= 4 * 60_000
