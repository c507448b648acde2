"""Forward and backward pass of every embedding network, against its bare backbone as torchvision has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torchvision import models

from benchmarks.measure import Options, Row, cpu_and_wall_seconds, interleaved_seconds
from dml.models import BACKBONES, create_model

REPEATS = 5
LIMIT = 1.1


def rows(options: Options) -> Iterator[Row]:
    """On a CPU small batches of small crops, on a GPU the networks' own size."""
    batch_size, side = (64, 224) if options.device.type == "cuda" else (8, 96)
    images = torch.randn(batch_size, 3, side, side, device=options.device)
    for name in BACKBONES:
        torch.manual_seed(0)
        ours = create_model(name, embedding_size=128, pretrained=False, image_size=side).to(options.device)
        bare = _bare(name, side, ours.backbone).to(options.device)
        steps = (_step(ours, lambda output: output.embedding, images), _step(bare, lambda output: output, images))
        if options.device.type == "cpu":  # processor time, of which a busy machine changes less
            (whole, _), (alone, _) = cpu_and_wall_seconds(*steps, repeats=REPEATS)
        else:
            whole, alone = interleaved_seconds(*steps, repeats=REPEATS, device=options.device)
        title = f"backbones: {name}, {batch_size} × {side} × {side}"
        yield Row.cost(title, 1e3 * whole, "ms", yardstick=1e3 * alone, limit=LIMIT)


def _bare(name: str, side: int, backbone: nn.Module) -> nn.Module:
    """torchvision's network of that name without classifier; of those that it does not have, the backbone."""
    if not hasattr(models, name):
        return backbone
    options = {"image_size": side} if name == "vit_b_16" else {}
    if name == "googlenet":
        options = {"aux_logits": False, "init_weights": False}
    network = getattr(models, name)(weights=None, **options)
    for classifier in ("fc", "classifier", "heads"):
        if hasattr(network, classifier):
            setattr(network, classifier, nn.Identity())
    return network


def _step(network: nn.Module, of: Callable, images: Tensor) -> Callable[[], None]:
    network.train()

    def step() -> None:
        network.zero_grad()
        of(network(images)).float().square().mean().backward()

    return step
