"""A training step as the trainer takes it, against the same arithmetic on a fixed batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor

from benchmarks.measure import Options, Row, interleaved_seconds
from dml.config import OptimConfig
from dml.data.samplers import RandomSampler
from dml.losses import create_loss
from dml.methods.supervised import SupervisedMethod
from dml.models import create_model
from dml.structures import Batch, Progress
from dml.training.losswatch import LossWatch
from dml.training.optim import clip_gradients, create_optimizer

CLASSES, SIZE = 100, 512


class TrainingStep:
    """Proxy-Anchor on ``model`` with AdamW: forward, backward, clip, step, on images that are given."""

    def __init__(self, model: str, batch_size: int, options: Options):
        logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
        self.device, self.config = options.device, OptimConfig()
        labels = torch.arange(batch_size).numpy() % CLASSES
        self.method = SupervisedMethod(
            model=create_model(model, embedding_size=SIZE, pretrained=False),
            criterion=create_loss("Proxy_Anchor", num_classes=CLASSES, embedding_size=SIZE),
            sampler=RandomSampler(labels, batch_size=batch_size),
            proxy_lr_scale=100.0,
        ).to(options.device)
        self.optimizer = create_optimizer(self.method.param_groups(), self.config)
        self.method.train()

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """The plain step."""
        loss = self.method.criterion(self.method.model(images).embedding, labels)
        loss.backward()
        clip_gradients(self.optimizer, self.config.clip_value)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()


def rows(options: Options) -> Iterator[Row]:
    """What the trainer adds to a resnet50 step: Fabric, the watch over the loss, the method's bookkeeping."""
    on_gpu = options.device.type == "cuda"
    size, side = (120, 224) if on_gpu else (8, 96)
    step = TrainingStep("resnet50", size, options)
    images = torch.randn(size, 3, side, side, device=options.device)
    labels = torch.arange(size, device=options.device) % CLASSES
    batch = Batch(images, labels, torch.arange(size))
    fabric = Fabric(accelerator="cuda" if on_gpu else "cpu", devices=1)
    module, optimizer = fabric.setup(step.method, step.optimizer)
    watch = LossWatch(options.device)

    def trainers() -> None:
        output = module(batch, Progress(0, 1))
        watch.add(output.loss.detach(), 0, batch.indices)
        fabric.backward(output.loss)
        fabric.strategy.precision.unscale_gradients(step.optimizer)
        clip_gradients(step.optimizer, step.config.clip_value)
        optimizer.step()
        optimizer.zero_grad()

    seconds, yardstick = interleaved_seconds(trainers, lambda: step(images, labels), repeats=10, device=options.device)
    name = f"step: resnet50, {size} × {side} × {side}"
    yield Row.cost(name, 1e3 * seconds, "ms", yardstick=1e3 * yardstick)
