"""Embedding transfer: the frozen source, its own normalisation, matched stages, and steps of every loss."""

from __future__ import annotations

import pytest
import torch

from dml.data.samplers import RandomSampler
from dml.losses import create_loss
from dml.losses.transfer import TRANSFER_LOSSES, TransferSizes, create_transfer_loss
from dml.methods.source import CachedSource, SourceNetwork, load_source, match_stages, renormalize
from dml.methods.transfer import TransferMethod
from dml.models import create_model
from dml.models.input_spec import CAFFE_BGR, IMAGENET_RGB
from dml.models.reading import CheckpointError
from dml.structures import Batch, Progress

IMAGES = 6
LABELS = torch.arange(IMAGES) // 2


def network(name: str = "resnet18", size: int = 8):
    torch.manual_seed(len(name))
    return create_model(name, embedding_size=size, pretrained=False, l2_norm=False)


def method(name: str, source=None) -> TransferMethod:
    spec = TRANSFER_LOSSES[name]
    target, source = network(), source or network(size=10)
    stages = match_stages(target.backbone, source.backbone, 32) if spec.needs == "maps" else ()
    channels = [
        tuple(net.backbone.stage_channels[pair[side]] for pair in stages) for side, net in enumerate((target, source))
    ]
    sizes = TransferSizes(target.backbone.num_features, source.backbone.num_features, *channels, labels=LABELS)
    anchor = create_loss("Proxy_Anchor", num_classes=3, embedding_size=8) if spec.with_proxy_anchor else None
    return TransferMethod(
        model=target,
        source=SourceNetwork(source, images_of=target.input_spec),
        criterion=create_transfer_loss(name, sizes=sizes),
        sampler=RandomSampler(LABELS.numpy(), batch_size=IMAGES),
        stages=stages,
        proxy_anchor=anchor,
        proxy_lr_scale=100.0,
        num_views=2,
    )


def batch() -> Batch:
    images = torch.randn(2 * IMAGES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Batch(images, LABELS.repeat(2), torch.arange(IMAGES).repeat(2), num_views=2)


@pytest.mark.parametrize("name", list(TRANSFER_LOSSES))
def test_a_step_trains_the_target_and_leaves_the_source_alone(name):
    transfer = method(name)
    transfer.train()
    source = transfer.source.network
    before = {key: value.clone() for key, value in source.state_dict().items()}
    output = transfer(batch(), Progress(0, 1))
    output.loss.backward()
    assert torch.isfinite(output.loss)
    trained = [parameter for group in transfer.param_groups() for parameter in group.parameters]
    head = {id(parameter) for parameter in transfer.model.new_parameters()}
    needs_head = TRANSFER_LOSSES[name].needs == "embeddings" or transfer.proxy_anchor is not None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained if needs_head or id(p) not in head)
    assert not source.training
    assert all(parameter.grad is None for parameter in source.parameters())
    assert all(torch.equal(before[key], value) for key, value in source.state_dict().items())


def test_the_source_is_in_no_checkpoint_and_no_parameter_group():
    transfer = method("rkd")
    assert not any(key.startswith("source") for key in transfer.state_dict())
    own = {id(parameter) for parameter in transfer.source.network.parameters()}
    assert not any(id(parameter) in own for parameter in transfer.parameters())


def test_every_parameter_is_in_one_group_and_proxies_have_their_rate():
    transfer = method("crd")
    grouped = [id(parameter) for group in transfer.param_groups() for parameter in group.parameters]
    assert sorted(grouped) == sorted(id(parameter) for parameter in transfer.parameters())
    assert [group.lr_scale for group in transfer.param_groups()] == [1.0, 1.0, 1.0, 100.0]
    assert transfer.proxies().shape == (3, 8)
    assert method("rkd").proxies() is None


@pytest.mark.parametrize(("made_for", "wanted"), [(IMAGENET_RGB, CAFFE_BGR), (CAFFE_BGR, IMAGENET_RGB)])
def test_images_normalised_for_the_one_are_what_the_other_would_have_made(made_for, wanted):
    images = torch.rand(2, 3, 5, 5)
    converted = renormalize(made_for.normalize(images), made_for, wanted)
    torch.testing.assert_close(converted, wanted.normalize(images), rtol=1e-5, atol=1e-4 * wanted.scale / 255)


def test_a_source_with_another_normalisation_sees_its_own():
    source = network("bn_inception")
    images = torch.rand(2, 3, 64, 64)
    given = Batch(IMAGENET_RGB.normalize(images), LABELS[:2], torch.arange(2))
    seen = SourceNetwork(source, images_of=IMAGENET_RGB)(given)
    expected = source.eval()(CAFFE_BGR.normalize(images)).embedding
    torch.testing.assert_close(seen.embedding, expected, rtol=1e-3, atol=1e-3)


def test_a_cached_source_gives_the_same_step():
    plain, cached, given = method("rkd"), method("rkd"), batch()
    one_view = Batch(given.images[:IMAGES], LABELS, torch.arange(IMAGES))
    cached.source = CachedSource(plain.source(one_view).embedding)
    torch.testing.assert_close(cached(one_view, Progress(0, 1)).loss, plain(one_view, Progress(0, 1)).loss)
    with pytest.raises(ValueError, match="no feature maps"):
        cached.source(one_view, ("layer1",))


def test_the_source_runs_in_bfloat16():
    transfer = method("rkd")
    with torch.autocast("cpu", torch.bfloat16):
        output = transfer(batch(), Progress(0, 1))
    assert output.loss.dtype == torch.float32
    assert torch.isfinite(output.loss)


def test_stages_match_by_size():
    resnet, inception = network().backbone, network("bn_inception").backbone
    layers = tuple((f"layer{i}",) * 2 for i in (1, 2, 3, 4))
    assert match_stages(resnet, network("resnet50").backbone, 64) == layers
    assert match_stages(inception, inception, 64) == (("3c", "3c"), ("4e", "4e"), ("5b", "5b"))
    assert match_stages(resnet, inception, 224) == (("layer3", "3c"), ("layer4", "5b"))


def test_maps_that_never_agree_are_refused(monkeypatch):
    resnet = network().backbone
    other = network("resnet34").backbone
    monkeypatch.setattr(other, "forward_stages", lambda images: {"only": torch.zeros(1, 4, 13, 13)})
    with pytest.raises(ValueError, match="no feature maps of the two networks agree"):
        match_stages(resnet, other, 64)


def test_a_source_must_be_there_and_be_what_is_expected(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        load_source(tmp_path / "missing.pth", l2_norm=True)
    page = tmp_path / "page.pth"
    page.write_text("<html>Sign in</html>")
    with pytest.raises(CheckpointError, match="a web page"):
        load_source(page, l2_norm=True)
