"""From images to embeddings, or to what else a network says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from dml.structures import Batch, ModelOutput


def embedding_of(output: ModelOutput) -> Tensor:
    """(B, D) float32."""
    return output.embedding.float()


def background_of(output: ModelOutput) -> Tensor:
    """(B, G) float32 of a network with a background head."""
    return output.background.float()


def features_of(output: ModelOutput) -> Tensor:
    """(B, F) float32, what the heads are given."""
    return output.features.float()


def embed(
    model: nn.Module,
    batches: Iterable[Batch],
    device: torch.device,
    *,
    read: Callable[[Any], Tensor] = embedding_of,
    progress: str | None = None,
    autocast: Callable[[], AbstractContextManager] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The embeddings of all images of ``batches``, in evaluation mode and without gradients.

    The model's training mode is restored afterwards, whatever happens. Memory grows with N · D, that of the device,
    from which rows are copied once, at the end, and the host's.

    A model that is compiled for the batches of a training goes through these as it was written.

    Args:
        model: already on ``device``.
        read: takes a row for each image, (B, D), out of what the model returns.
        progress: text of a progress bar; None for no bar.
        autocast: makes the context of the forward pass, such as ``fabric.autocast``; None for float32.

    Returns:
        On the CPU, in the order of the batches: rows (N, D), labels (N,) int64, indices (N,) int64.

    Raises:
        ValueError: no batch at all.
    """
    precision = autocast or nullcontext
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), as_written(model):
            for batch in tqdm(batches, desc=progress, disable=True if progress is None else None, leave=False):
                with precision():
                    output = model(batch.images.to(device, non_blocking=True))
                rows.append((read(output), batch.labels, batch.indices))
    finally:
        model.train(was_training)
    if not rows:
        raise ValueError("no images to embed: the loader gave no batch")
    # Outside of inference mode, so that the results are ordinary tensors.
    embeddings, labels, indices = (torch.cat(parts).cpu() for parts in zip(*rows, strict=True))
    return embeddings, labels, indices


@contextmanager
def as_written(model: nn.Module) -> Iterator[None]:
    """``model`` is called without what ``model.compile()`` made of it."""
    compiled = model._compiled_call_impl
    model._compiled_call_impl = None
    try:
        yield
    finally:
        model._compiled_call_impl = compiled
