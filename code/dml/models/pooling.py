"""From the last layer of a backbone to a row of features for each image."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.models.backbones import Backbone, Traits, create_backbone
from dml.models.backbones.base import OWN_POOLING
from dml.registry import Registry

LEAST = 1e-6
"""Below it GeM takes activations for this: it raises them to powers."""

TITLES = {
    "avg": "average pooling",
    "avg_max": "average + max pooling",
    "cls": "class token",
    "cls_avg": "class token beside average pooling",
    "gem": "generalised mean pooling",
    OWN_POOLING: "the network's own pooling",
}
"""What is said of each; the names of ``--pooling``."""


def average_pool(places: Tensor) -> Tensor:
    """(B, C, H, W) or (B, N, C) → (B, C), the mean over places."""
    return places.mean(dim=_dims(places))


def average_max_pool(places: Tensor) -> Tensor:
    """(B, C, H, W) or (B, N, C) → (B, C), the mean plus the maximum over places.

    NOTE: where several positions share the maximum they share its gradient, whereas the published
    ``AdaptiveMaxPool2d`` gives it to one of them by an operation that is not deterministic on a GPU.
    """
    return places.mean(dim=_dims(places)) + places.amax(dim=_dims(places))


def _dims(places: Tensor) -> tuple[int, ...]:
    return (2, 3) if places.ndim == 4 else (1,)


class GeM(nn.Module):
    """Generalised mean (Radenović et al., TPAMI 2018, arXiv:1711.02512): ``(mean of x^p over places)^(1/p)`` with a
    learned p, which starts at 3; 1 is the average, ∞ the maximum. In float32, by logarithms, which no power overflows.

    NOTE: it is made for activations that are not negative; those below 1e-6 count as that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(3.0))

    def forward(self, places: Tensor) -> Tensor:
        """(B, C, H, W) or (B, N, C) → (B, C) float32 or wider."""
        places = places.float() if places.dtype.itemsize < 4 else places
        with torch.autocast(places.device.type, enabled=False):
            dims = _dims(places)
            powers = self.p * places.clamp(min=LEAST).log()
            number = math.prod(places.shape[dim] for dim in dims)
            return ((powers.logsumexp(dim=dims) - math.log(number)) / self.p).exp()


# What each makes of the places of an image; ``cls`` and ``own`` make nothing of them.
POOLINGS: Registry[Callable[[Tensor], Tensor] | type[GeM] | None] = Registry(
    "pooling",
    {
        "avg": average_pool,
        "avg_max": average_max_pool,
        "cls": None,
        "cls_avg": average_pool,
        "gem": GeM,
        OWN_POOLING: None,
    },
)


def check_pooling(name: str, network: Traits | type[Backbone] | Backbone, backbone: str) -> None:
    """UserError for a pooling that a network does not have; UnknownNameError for one that does not exist."""
    POOLINGS.canonical(name)
    if name in ("cls", "cls_avg") and not network.has_class_token:
        raise UserError(f"--pooling {name}: {backbone} has no class token; --pooling avg takes the mean over places")
    if name == OWN_POOLING and network.pooling != OWN_POOLING:
        raise UserError(
            f"--pooling {name} is for networks whose pooling has no name here; that of {backbone} is {network.pooling}"
        )


def feature_size(backbone: str, pooling: str) -> int:
    """Length of the pooled features of the backbone of that name, by a look at shapes."""
    with torch.device("meta"):
        return Pooling(pooling, create_backbone(backbone), backbone).size


class Pooling(nn.Module):
    """The pooled features of a backbone's output, behind what the backbone itself does with them.

    Args:
        name: of ``POOLINGS``.
        backbone: not kept.

    Attributes:
        size: F, of the features.

    Raises:
        UserError: see ``check_pooling``.
    """

    def __init__(self, name: str, backbone: Backbone, title: str) -> None:
        super().__init__()
        check_pooling(name, backbone, title)
        self.name = name
        over_places = POOLINGS[name]
        self.over_places = over_places() if over_places is GeM else over_places
        self.prefix = backbone.num_prefix_tokens or 0
        own = backbone.own_size if name == OWN_POOLING else backbone.feature_size
        self.size = 2 * own if name == "cls_avg" else own

    def forward(self, output: Tensor, backbone: Backbone) -> Tensor:
        """(B, C, H, W) or (B, N, C) → (B, F)."""
        if self.name == OWN_POOLING:
            return backbone.own_pool(output)
        if self.name == "cls":
            return backbone.after_pool(output[:, 0])
        pooled = backbone.after_pool(self.over_places(output[:, self.prefix :] if output.ndim == 3 else output))
        return pooled if self.name != "cls_avg" else torch.cat([backbone.after_pool(output[:, 0]), pooled], dim=1)
