"""What the introspective metric costs beside the cosine: the loss alone, a training step, and its memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import Options, Row, interleaved_seconds, peak_memory_gb
from dml.data.samplers import RandomSampler
from dml.losses.proxies.proxy_anchor import ProxyAnchorLoss
from dml.losses.similarity import IntrospectiveSimilarity
from dml.methods.supervised import SupervisedMethod
from dml.models import create_model
from dml.structures import Batch, Progress

BATCH, SIZE, CUB_CLASSES, SOP_CLASSES = 120, 512, 100, 11_318
STEP_LIMIT = 1.3
MEMORY_LIMIT_GB = 0.3  # (B, C, D) in float32 would be 2.8


def rows(options: Options) -> Iterator[Row]:
    """The step costs at most 1.3 of the plain one, network, both heads, loss and all gradients included; at 11,318
    classes nothing of B × C × D is held."""
    yield _loss_row(CUB_CLASSES, 61, options)
    yield _loss_row(SOP_CLASSES, 11, options)
    yield _step_row(options)
    peak = peak_memory_gb(_prepare, _forward_and_backward, options)
    yield Row.cost(f"idml: loss of {SOP_CLASSES:,} classes", peak, "GB", limit=MEMORY_LIMIT_GB)


def _loss(classes: int, *, introspective: bool) -> ProxyAnchorLoss:
    torch.manual_seed(0)
    similarity = IntrospectiveSimilarity() if introspective else None
    return ProxyAnchorLoss(num_classes=classes, embedding_size=SIZE, similarity=similarity)


def _rows_and_labels(classes: int, device: torch.device, *, introspective: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    parts = [F.normalize(torch.randn(BATCH, SIZE, generator=generator)) for _ in range(1 + introspective)]
    labels = torch.randint(classes, (BATCH,), generator=generator)
    return torch.cat(parts, dim=1).to(device).requires_grad_(), labels.to(device)


def _loss_row(classes: int, repeats: int, options: Options) -> Row:
    def backward_of(*, introspective: bool):
        loss = _loss(classes, introspective=introspective).to(options.device)
        given = _rows_and_labels(classes, options.device, introspective=introspective)
        return lambda: loss(*given).backward()

    ours, plain = interleaved_seconds(
        backward_of(introspective=True), backward_of(introspective=False), repeats=repeats, device=options.device
    )
    return Row.cost(f"idml: loss alone, {classes:,} classes", 1e3 * ours, "ms", yardstick=1e3 * plain)


def _step_row(options: Options) -> Row:
    """On a CPU resnet18 and the smallest images, where the loss weighs most."""
    name, side = ("resnet50", 224) if options.device.type == "cuda" else ("resnet18", 32)
    images = torch.randn(BATCH, 3, side, side, device=options.device)
    batch = Batch(images, torch.arange(BATCH, device=options.device) % CUB_CLASSES, torch.arange(BATCH))

    def step_of(*, introspective: bool):
        method = SupervisedMethod(
            model=create_model(name, embedding_size=SIZE, pretrained=False, uncertainty=introspective),
            criterion=_loss(CUB_CLASSES, introspective=introspective),
            sampler=RandomSampler(np.zeros(1, dtype=np.int64), batch_size=1),
        ).to(options.device)
        return lambda: method(batch, Progress(0, 1)).loss.backward()

    ours, plain = interleaved_seconds(
        step_of(introspective=True), step_of(introspective=False), repeats=9, device=options.device
    )
    label = f"idml: step, {name}, {BATCH} × {side} × {side}"
    return Row.cost(label, 1e3 * ours, "ms", yardstick=1e3 * plain, limit=STEP_LIMIT)


def _prepare(device: torch.device) -> tuple[ProxyAnchorLoss, Tensor, Tensor]:
    """The loss with its gradients allocated."""
    loss = _loss(SOP_CLASSES, introspective=True).to(device)
    loss.proxies.grad = torch.zeros_like(loss.proxies)
    return loss, *_rows_and_labels(SOP_CLASSES, device, introspective=True)


def _forward_and_backward(prepared: tuple[ProxyAnchorLoss, Tensor, Tensor]) -> None:
    loss, rows, labels = prepared
    loss(rows, labels).backward()
