"""Batch normalisation takes its statistics over a batch: of a single value of a channel there are none."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.errors import UserError

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d)  # a layer that is synchronised has the images of all processes


def require_statistics(model: nn.Module, *, rows: int, side: int) -> None:
    """Refuse a batch of which a layer of batch normalisation would see a single value of each channel.

    Costs nothing where ``rows`` is 2 or more, else one forward pass in evaluation mode.

    Args:
        rows: images that pass the network together, in one process.
        side: of an image, in pixels.

    Raises:
        UserError: there is such a layer; the message says what helps.
    """
    if rows > 1:
        return
    starved = _starved_layers(model, side)
    if not starved:
        return
    can_freeze = hasattr(model, "bn_freeze") and all(name.startswith("backbone.") for name in starved)
    raise UserError(
        f"--batch-size: of one image a step and process, {len(starved)} of the layers of batch normalisation"
        f" ({starved[0]} is the first) see a single value of each channel, which has no spread to normalise by. Raise"
        f" it to at least 2 for each process{', or add --bn-freeze 1' if can_freeze else ''}"
    )


def learning_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers of batch normalisation that take statistics of the batch in training, by name."""
    was_training = model.training
    model.train()
    learning = {name: module for name, module in model.named_modules() if isinstance(module, KINDS) and module.training}
    model.train(was_training)
    return learning


@torch.no_grad()
def _starved_layers(model: nn.Module, side: int) -> list[str]:
    """Names of the layers that would take statistics of one image of ``side`` × ``side`` from a single value."""
    was_training, learning = model.training, learning_layers(model)
    model.eval()  # so that neither statistics nor random state change
    starved: list[str] = []

    def look(name: str, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].numel() == inputs[0].shape[1]:
            starved.append(name)

    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: look(name, inputs))
        for name, module in learning.items()
    ]
    try:
        parameter = next(model.parameters())
        model(torch.zeros(1, 3, side, side, device=parameter.device, dtype=parameter.dtype))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    return starved
