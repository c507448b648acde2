"""Where proxies start, and which pages show them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from dml.cli.train import parse_train
from dml.data import load_dataset
from dml.data.images import read_image
from dml.data.transforms import eval_transform
from dml.methods.base import Given
from dml.methods.batches import create_sampler
from dml.methods.build import build_method
from dml.models import create_model
from dml.tracking import Tracker
from dml.training.proxies import ProxyPages, start_at_class_means
from dml.training.retrieval import training_crops
from entrypoints import SMALL


@pytest.fixture
def build(digits):
    """Configuration, data and method of a command line."""

    def make(*extra: str):
        arguments = ["--dataset", "folder", "--data-dir", str(digits), *SMALL, *extra]
        config = parse_train(arguments).config
        torch.manual_seed(0)
        model = create_model(config.model.model, embedding_size=16, pretrained=False)
        data = load_dataset("folder", digits)
        return config, data, build_method(Given(config, model, data.train))

    return make


@pytest.mark.parametrize("augment", ["0", "1"])
def test_center_starts_proxies_at_class_means(build, augment):
    """Of one random crop of each training image, or of the images as they are evaluated with ``--augment 0``."""
    config, data, method = build("--loss", "ProxyAnchor", "--init_type", "center", "--augment", augment)
    fabric = Fabric(accelerator="cpu", devices=1)
    images = training_crops(config, data.train, method)
    seen, embed = [], method.model.forward
    method.model.forward = lambda batch: seen.append(batch) or embed(batch)
    start_at_class_means(config, fabric, images, method)
    method.model.forward = embed
    shown = torch.cat(seen)
    transform = eval_transform(method.model.input_spec.normalize, resize=32, crop_size=32)
    evaluated = torch.stack([transform(read_image(path)) for path in data.train.paths])
    alike = (shown == evaluated).flatten(1).all(1)
    assert alike.all() if augment == "0" else not alike.any()
    with torch.no_grad():
        embeddings = method.model.eval()(shown).embedding
    for c in range(data.train.num_classes):
        expected = embeddings[torch.from_numpy(data.train.labels == c)].mean(0)
        torch.testing.assert_close(method.criterion.proxies[c].detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("augment", ["0", "1"])
def test_training_images_are_made_by_pillow_if_asked(build, augment):
    for pillow in ("0", "1"):
        config, data, method = build("--pillow", pillow, "--augment", augment)
        transform = training_crops(config, data.train, method).transform
        assert transform.pillow == (pillow == "1")
        assert (type(transform.crop.transforms[0]).__name__ == "PILToTensor") == (pillow == "0")


def test_center_follows_from_the_seed_alone(build):
    """Not from the number of workers, nor from what was drawn before."""
    starts = []
    for seed, workers in (("1", "0"), ("1", "2"), ("2", "0")):
        arguments = ("--loss", "ProxyAnchor", "--init_type", "center", "--seed", seed, "--workers", workers)
        config, data, method = build(*arguments)
        torch.rand(len(starts))
        images = training_crops(config, data.train, method)
        before = torch.get_rng_state()
        start_at_class_means(config, Fabric(accelerator="cpu", devices=1), images, method)
        assert torch.equal(torch.get_rng_state(), before)
        starts.append(method.proxies().clone())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_the_proxy_of_a_class_without_images_stays(build):
    """One that a continued run has left when the images of a class were taken away before its first checkpoint."""
    config, data, method = build("--loss", "ProxyAnchor", "--init_type", "center")
    before = method.proxies().clone()
    records = data.train.take(np.flatnonzero(data.train.labels != 2))
    start_at_class_means(config, Fabric(accelerator="cpu", devices=1), training_crops(config, records, method), method)
    changed = (method.proxies() != before).any(1)
    assert changed.tolist() == [label != 2 for label in range(data.train.num_classes)]
    assert method.proxies().isfinite().all()


def test_uniform_and_normal_starts(build):
    uniform = build("--loss", "ProxyNCA", "--init_type", "uniform")[2].criterion.proxies
    normal = build("--loss", "ProxyNCA")[2].criterion.proxies
    assert uniform.abs().max() <= 1 / 4  # 1 / √D
    assert 0.15 < uniform.abs().mean() / uniform.abs().max() < 0.75
    assert normal.abs().max() > 1 / 4


def test_ipc_means_power_balance_and_is_ignored_in_it(build):
    with_four, data, _ = build("--recipe", "proxy_isa", "--loss", "ProxyISA", "--IPC", "4", "--p", "0.5")
    with_five = build("--recipe", "proxy_isa", "--loss", "ProxyISA", "--IPC", "5", "--p", "0.5")[0]
    plans = [create_sampler(config, data.train.labels).plan(0) for config in (with_four, with_five)]
    np.testing.assert_array_equal(*plans)
    assert type(create_sampler(with_four, data.train.labels)).__name__ == "PowerBalancedSampler"
    plain = build("--recipe", "proxy_isa", "--loss", "ProxyISA")[0]
    assert type(create_sampler(plain, data.train.labels)).__name__ == "RandomSampler"


@pytest.mark.parametrize("loss", ["ProxyAnchor", "Triplet"])
def test_pages_come_every_tenth_epoch(build, tmp_path, monkeypatch, loss):
    """With proxies where the loss has them; a page is written by a stand-in here."""
    config, data, method = build("--loss", loss)
    drawn = {}
    monkeypatch.setattr("dml.training.proxies.tsne_page", lambda *a, **options: drawn.update({a[2].name: options}))
    fabric = Fabric(accelerator="cpu", devices=1)
    pages = ProxyPages(config, fabric, data, method, tracker=Tracker(tmp_path), folder=tmp_path)
    for epoch in range(12):
        pages(epoch)
    assert list(drawn) == [f"tsne_{d}d_epoch_{epoch}.html" for epoch in (0, 10) for d in (2, 3)]
    for options in drawn.values():
        assert len(options["proxy_names"]) == (5 if loss == "ProxyAnchor" else 0)
        assert (options["proxies"] is None) == (loss == "Triplet")
