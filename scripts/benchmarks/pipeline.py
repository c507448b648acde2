"""What the loader and step benchmarks share: photographs on disk, their loader, a training step."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.measure import Options
from dml.config import OptimConfig
from dml.data.images import ImageDataset
from dml.data.loader import PlannedBatches, train_loader
from dml.data.records import ImageRecords
from dml.data.samplers import RandomSampler
from dml.data.transforms import train_transform
from dml.losses import create_loss
from dml.methods.supervised import SupervisedMethod
from dml.models import create_model
from dml.models.backbones import traits_of
from dml.models.memory_format import best_memory_format, lay_out
from dml.structures import Batch, Progress
from dml.training.losswatch import LossWatch
from dml.training.optim import clip_gradients, create_optimizer

CLASSES, SIZE = 16, 512
PHOTO = (500, 375)  # what CUB's and Cars' images are like


@contextmanager
def photographs(number: int) -> Iterator[ImageRecords]:
    """Smooth random pictures, whose JPEG files cost as much to decode as photographs of that size."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index in range(number):
            coarse = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            path = Path(folder) / f"{index:03d}.jpg"
            Image.fromarray(coarse).resize(PHOTO, Image.Resampling.BICUBIC).save(path, quality=90)
            paths.append(str(path))
        labels = np.arange(number, dtype=np.int64) % CLASSES
        yield ImageRecords(tuple(paths), labels, tuple(map(str, range(CLASSES))))


class Loading:
    """The trainer's loader over ``records``, with crops of ``crop_size`` in batches of ``batch_size``.

    Args:
        plain: read by Pillow, and scaled to numbers image by image in the loading processes.
    """

    def __init__(self, records: ImageRecords, *, crop_size: int, batch_size: int, workers: int, plain: bool = False):
        transform = train_transform(traits_of("resnet18").input_spec.normalize, crop_size=crop_size)
        dataset = ImageDataset(records, transform.__call__ if plain else transform)
        self.batches = PlannedBatches()
        self.sampler = RandomSampler(records.labels, batch_size=batch_size)
        self.loader: DataLoader[Batch] = train_loader(
            dataset, self.batches, workers=workers, device=torch.device("cpu")
        )

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch ``number``; the first call starts the workers."""
        self.batches.set_epoch(self.sampler.plan(number), number)
        return iter(self.loader)


class TrainingStep:
    """Proxy-Anchor on ``model`` with AdamW, as the trainer steps and as plain PyTorch does.

    Args:
        precision: of the network, as Fabric calls it; its memory format is the one that a run would choose.
    """

    def __init__(self, model: str, options: Options, *, precision: Literal["32-true", "bf16-mixed"] = "32-true"):
        logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
        self.device, self.config = options.device, OptimConfig()
        self.method = SupervisedMethod(
            model=create_model(model, embedding_size=SIZE, pretrained=False),
            criterion=create_loss("Proxy_Anchor", num_classes=CLASSES, embedding_size=SIZE),
            sampler=RandomSampler(np.zeros(1, dtype=np.int64), batch_size=1),
            proxy_lr_scale=100.0,
        ).to(options.device)
        lay_out(
            self.method.model,
            best_memory_format(self.method.model, options.device, mixed=precision != "32-true"),
        )
        self.optimizer = create_optimizer(self.method.param_groups(), self.config)
        kind = "cuda" if options.device.type == "cuda" else "cpu"
        self.fabric = Fabric(accelerator=kind, devices=1, precision=precision)
        self.module, self.wrapped = self.fabric.setup(self.method, self.optimizer)
        self.watch = LossWatch()
        self.method.train()

    def plain(self, images: Tensor, labels: Tensor) -> None:
        """Forward, backward, clip, step."""
        loss = self.method.criterion(self.method.model(images).embedding, labels)
        loss.backward()
        clip_gradients(self.optimizer, self.config.clip_value)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def trainers(self, batch: Batch) -> None:
        """The same through Fabric, the method and the watch over the loss."""
        output = self.module(batch, Progress(0, 1))
        self.watch.add(output, 0, batch.indices)
        self.fabric.backward(output.loss)
        self.fabric.strategy.precision.unscale_gradients(self.optimizer)
        clip_gradients(self.optimizer, self.config.clip_value)
        self.wrapped.step()
        self.wrapped.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
