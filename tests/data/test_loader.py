"""Batches are the same whatever the number of workers, processes, or the batch that loading begins with."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import get_worker_info
from torchvision.transforms import v2

from dml.data.images import ImageDataset, collate
from dml.data.loader import LoadingError, PlannedBatches, eval_loader, train_loader
from dml.data.records import ImageRecords
from dml.data.transforms import Lighting, eval_transform, train_transform
from dml.models.input_spec import CAFFE_BGR, IMAGENET_RGB
from dml.signals import STOP_SIGNALS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> ImageDataset:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(24):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(path)
        paths.append(str(path))
    records = ImageRecords(tuple(paths), np.arange(24, dtype=np.int64) % 4, ("a", "b", "c", "d"))
    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomResizedCrop(8),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    return ImageDataset(records, transform, num_views=2)


PLAN = np.random.default_rng(1).permutation(24).reshape(3, 8)


def load(dataset, *, workers=0, rank=0, world_size=1, epoch=0, first=0, seed=5):
    batches = PlannedBatches(seed=seed, rank=rank, world_size=world_size)
    loader = train_loader(dataset, batches, workers=workers, device=torch.device("cpu"))
    batches.set_epoch(PLAN, epoch, first)
    assert len(loader) == 3 - first
    return list(loader)


def test_workers_change_nothing(dataset):
    for ours, theirs in zip(load(dataset), load(dataset, workers=2), strict=True):
        torch.testing.assert_close(ours.images, theirs.images, rtol=0, atol=0)
        assert ours.indices.tolist() == theirs.indices.tolist()


def test_processes_share_each_batch_in_order(dataset):
    whole = load(dataset)
    halves = [load(dataset, rank=rank, world_size=2) for rank in (0, 1)]
    for batch, one, two in zip(whole, *halves, strict=True):
        views = batch.images.unflatten(0, (2, 8))
        parts = [part.images.unflatten(0, (2, 4)) for part in (one, two)]
        torch.testing.assert_close(torch.cat(parts, dim=1), views, rtol=0, atol=0)


def test_a_resumed_epoch_continues_with_the_same_batches(dataset):
    torch.testing.assert_close(load(dataset)[2].images, load(dataset, first=2)[0].images, rtol=0, atol=0)


def test_epochs_seeds_and_views_differ(dataset):
    first = load(dataset)[0].images
    assert not torch.equal(first, load(dataset, epoch=1)[0].images)
    assert not torch.equal(first, load(dataset, seed=6)[0].images)
    assert not torch.equal(first[:8], first[8:])


def test_an_image_drawn_twice_is_augmented_twice(dataset):
    batches = PlannedBatches()
    batches.set_epoch(np.zeros((1, 2), dtype=np.int64), 0)
    (batch,) = train_loader(dataset, batches, workers=0, device=torch.device("cpu"))
    assert not torch.equal(batch.images[0], batch.images[1])


def test_workers_survive_the_epoch(dataset):
    batches = PlannedBatches(seed=5)
    loader = train_loader(dataset, batches, workers=1, device=torch.device("cpu"))
    for epoch in range(2):
        batches.set_epoch(PLAN, epoch)
        expected = load(dataset, epoch=epoch)
        for ours, theirs in zip(loader, expected, strict=True):
            torch.testing.assert_close(ours.images, theirs.images, rtol=0, atol=0)


def test_a_batch_that_cannot_be_shared(dataset):
    with pytest.raises(ValueError, match="8 images cannot be shared equally by 3 processes"):
        PlannedBatches(world_size=3).set_epoch(PLAN, 0)


def test_evaluation_takes_every_image_once(dataset):
    parts = [
        torch.cat([b.indices[: len(b) // 2] for b in eval_loader(dataset, rank=rank, world_size=3, **OPTIONS)])
        for rank in range(3)
    ]
    assert sorted(torch.cat(parts).tolist()) == list(range(24))


OPTIONS = {"batch_size": 5, "workers": 0, "device": torch.device("cpu")}


class Harmed(ImageDataset):
    """What happens to a process that loads image 5: by itself, or by a signal."""

    def __init__(self, dataset: ImageDataset, harm):
        super().__init__(dataset.records, dataset.transform)
        self.harm = harm

    def _load(self, index):
        if index == 5 and get_worker_info() is not None:
            self.harm()
        return super()._load(index)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_room() -> None:
    raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_0>: No space left on device (28)")


def no_files() -> None:
    raise RuntimeError(
        "unable to open shared memory object </torch_1_2_0> in read-write mode: Too many open files (24)"
    )


@pytest.mark.parametrize(
    ("harm", "advice"),
    [
        (kill_itself, r"a loading process was killed( \(Killed\))?, .*: fewer --workers"),
        (no_room, r"shared memory \(/dev/shm\).* is full\. .*--workers 0 none; a container gets more by --shm-size"),
        (no_files, r"too many files are open .*: `ulimit -n 65536`"),
    ],
)
def test_loading_processes_that_fail_say_what_helps(dataset, harm, advice):
    with pytest.raises(LoadingError, match=advice):
        load(Harmed(dataset, harm), workers=1)


def test_other_errors_are_left_as_they_are(dataset):
    def defect():
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match") as error:
        load(Harmed(dataset, defect), workers=1)
    assert not isinstance(error.value, OSError)


@pytest.mark.parametrize("told", [True, False])
def test_a_process_that_dies_while_its_batch_is_taken_over(dataset, monkeypatch, told):
    """Its connection breaks before the system tells that it is dead; or it lives, and that was all."""

    def broken():
        raise ConnectionResetError("Connection reset by peer")

    def wait(_):
        if told:
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr("dml.data.loader.DEATH_IS_TOLD", 0.05)
    monkeypatch.setattr("dml.data.loader.time.sleep", wait)
    expected, said = (LoadingError, "was killed") if told else (ConnectionResetError, "reset by peer")
    with pytest.raises(expected, match=said):
        load(Harmed(dataset, broken), workers=1)


def test_a_batch_lies_in_shared_memory_when_it_leaves_its_process(dataset):
    """There an error of a full one is raised where it reaches the main process."""
    seen = []
    assert not collate([dataset[0], dataset[1]]).images.is_shared()
    for batch in load(dataset, workers=1):
        seen += [batch.images.is_shared(), batch.labels.is_shared(), batch.indices.is_shared()]
    assert all(seen)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="this system does not tell who sent a signal")
def test_loading_processes_leave_signals_to_the_main_one(dataset):
    """But for the main one's own SIGTERM, by which it ends them."""
    batches = PlannedBatches()
    loader = train_loader(dataset, batches, workers=1, device=torch.device("cpu"))
    batches.set_epoch(PLAN, 0)
    batches_of_epoch = iter(loader)
    next(batches_of_epoch)
    (worker,) = loader._iterator._workers
    for number in STOP_SIGNALS:
        subprocess.run(["kill", f"-{number.name[3:]}", str(worker.pid)], check=True)
    assert len(list(batches_of_epoch)) == 2
    assert worker.is_alive()
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0
    with contextlib.suppress(LoadingError, RuntimeError):
        del batches_of_epoch, loader


def before(steps, normalize, *, pillow: bool = False):
    """What loading processes did, image by image: all of it."""
    steps = [*steps, v2.PILToTensor()] if pillow else [v2.PILToTensor(), *steps]
    return v2.Compose([*steps, v2.ToDtype(torch.float32, scale=True), normalize])


CROP, FLIP = v2.RandomResizedCrop(32, scale=(0.08, 1.0)), v2.RandomHorizontalFlip()
COLOURS = v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)
WAYS = {
    "base": ([CROP, FLIP], {}),
    "adv": ([CROP, v2.RandomGrayscale(p=0.2), v2.ColorJitter(0.2, 0.2, 0.2, 0.2), FLIP], {}),
    "red": ([v2.Resize(40), v2.RandomCrop(32), FLIP], {"resize": 40}),
    "lighting": ([CROP, FLIP], {}),
}


@pytest.mark.parametrize("pillow", [False, True])
@pytest.mark.parametrize("spec", [IMAGENET_RGB, CAFFE_BGR], ids=["rgb", "bgr"])
@pytest.mark.parametrize("name", [*WAYS, "evaluation"])
def test_bytes_become_the_numbers_that_they_became_in_loading_processes(tmp_path, name, spec, pillow):
    """To the bit, of batches of more images than are scaled at once, and fewer."""
    rng, paths = np.random.default_rng(0), []
    for number in range(11):
        path = tmp_path / f"{number:02d}.{'jpg' if number % 2 else 'png'}"
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize((60, 50 + number)).save(path)
        paths.append(str(path))
    records = ImageRecords.from_classes(paths, ["a"] * len(paths))
    if name == "evaluation":
        ours = eval_transform(spec.normalize, resize=40, crop_size=32, pillow=pillow)
        theirs = before([v2.Resize(40), v2.CenterCrop(32)], spec.normalize, pillow=pillow)
    else:
        steps, options = WAYS[name]
        ours = train_transform(spec.normalize, crop_size=32, augmentation=name, pillow=pillow, **options)
        last = v2.Compose([COLOURS, Lighting(), spec.normalize]) if name == "lighting" else spec.normalize
        theirs = before(steps, last, pillow=pillow)
    how = {"seed": 3, "device": torch.device("cpu")}
    expected = ImageDataset(records, theirs, num_views=2)
    for workers, batch_size in ((0, 11), (0, 1), (2, 3)):
        loaded = eval_loader(ImageDataset(records, ours, num_views=2), workers=workers, batch_size=batch_size, **how)
        for batch, wanted in zip(loaded, eval_loader(expected, workers=0, batch_size=batch_size, **how), strict=True):
            assert batch.images.dtype == torch.float32
            assert batch.images.stride() == wanted.images.stride()
            assert torch.equal(batch.images, wanted.images)


def test_loading_processes_send_bytes(dataset):
    transform = train_transform(IMAGENET_RGB.normalize, crop_size=8)
    loader = eval_loader(ImageDataset(dataset.records, transform), **OPTIONS | {"workers": 1})
    seen = []
    loader.scale = lambda images: seen.append(images.dtype) or images.float()
    assert {batch.images.dtype for batch in loader} == {torch.float32}
    assert set(seen) == {torch.uint8}
