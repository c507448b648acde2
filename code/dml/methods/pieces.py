"""A batch in pieces (``--accumulate``): the loss of the whole batch in the memory of one piece (Gao et al., Scaling
deep contrastive learning batch size under memory limited setup, 2021)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def in_pieces(network: nn.Module, images: Tensor, pieces: int, *given: Any) -> Any:
    """``network(images, *given)``, of so many pieces of the images one after the other, and no activations kept.

    In the backward pass each piece goes through the network once more, with the random numbers of the first time, and
    its activations go before the next piece's come: exact but for rounding, in the memory of a piece, with two fifths
    more time. Of layers that work on the batch, batch normalisation in training above all, each piece is a batch of its
    own; running statistics move with the first pass alone. What the network gives is held for the whole batch.

    Args:
        images: (B, 3, H, W); (B, F) rows of features go through as they are, having no activations to speak of.
        pieces: from 1, which is the plain call, to B.
        given: what else the network takes.
    """
    if pieces == 1 or images.ndim == 2:
        return network(images, *given)
    learns = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in network.parameters())
    outputs = []
    for piece in images.tensor_split(pieces):
        if learns:
            outputs.append(
                checkpoint(network, piece, *given, use_reentrant=False, context_fn=lambda: _contexts(network))
            )
        else:
            outputs.append(network(piece, *given))
    return _joined(outputs)


def _contexts(network: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Around the first pass of a piece, and around the second."""
    return nullcontext(), _leaving_buffers(network)


@contextmanager
def _leaving_buffers(network: nn.Module) -> Iterator[None]:
    """Buffers are afterwards what they were before, unseen by autograd, to which they have not changed."""
    buffers = [buffer.data for buffer in network.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


def _joined(outputs: Sequence[Any]) -> Any:
    """What a network makes of a batch, of what it makes of its pieces: tensors by rows, in dataclasses and tuples."""
    first = outputs[0]
    if isinstance(first, Tensor):
        return torch.cat(list(outputs))
    if isinstance(first, tuple):
        return tuple(_joined(parts) for parts in zip(*outputs, strict=True))
    if first is None:
        return None
    names = [item.name for item in dataclasses.fields(first)]
    return type(first)(**{name: _joined([getattr(output, name) for output in outputs]) for name in names})
