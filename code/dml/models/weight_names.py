"""Weights of one network under the names of two codes: torchvision's and timm's."""

from __future__ import annotations

from torch import Tensor

from dml.models.reading import is_counter

KINDS = ("weight", "bias", "running_mean", "running_var")
LONGEST_CLASSIFIER = 4  # tensors: two layers


def renamed_in_order(state: dict[str, Tensor], target: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]] | None:
    """The tensors of ``state`` under the names of ``target``, and the names of those at its end that are left over.

    Both codes define the layers of a network in the order of the paper, so that one after the other is the same tensor,
    whatever it is called: if all have one shape, but for axes of length 1, and are of one kind: weights, biases, means
    and variances, and parameters that are none of these, such as class tokens and layer scales, which are compared
    among themselves. Position embeddings may be of another number of patches.

    Returns:
        None if they are not those of one network.
    """
    pairs: dict[str, str] = {}
    rest: list[str] = []
    for is_bare in (False, True):
        given = [name for name in state if not is_counter(name) and (_kind(name) is None) == is_bare]
        wanted = [name for name in target if not is_counter(name) and (_kind(name) is None) == is_bare]
        if len(given) < len(wanted):
            return None
        pairs |= dict(zip(wanted, given, strict=False))
        rest += given[len(wanted) :]
    if len(rest) > LONGEST_CLASSIFIER or not all(_agree(target[w], state[g], w, g) for w, g in pairs.items()):
        return None
    return {w: _shaped(state[g], target[w]) for w, g in pairs.items()}, rest


def _kind(name: str) -> str | None:
    last = name.rpartition(".")[2]
    return next((kind for kind in KINDS if last.endswith(kind)), None)


def _agree(wanted: Tensor, given: Tensor, own: str, other: str) -> bool:
    if _kind(own) != _kind(other):
        return False
    if wanted.ndim == given.ndim == 3 and _kind(own) is None:  # tokens and positions: (1, N, C)
        return wanted.shape[2] == given.shape[2] and (wanted.shape[1] == 1) == (given.shape[1] == 1)
    return _plain(wanted) == _plain(given)


def _plain(tensor: Tensor) -> list[int]:
    return [length for length in tensor.shape if length != 1]


def _shaped(given: Tensor, wanted: Tensor) -> Tensor:
    return given.reshape(wanted.shape) if given.numel() == wanted.numel() else given
