"""Losses by name. A new loss is one file beside this one, one entry of ``LOSSES``, one test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from dml.losses.library import (
    contrastive_all_pairs,
    multi_similarity_mined,
    npairs_unnormalized,
    triplet_semihard,
)
from dml.losses.proxy_anchor import ProxyAnchorLoss
from dml.losses.proxy_nca import ProxyNCAWithoutPositive, ProxyNCAWithPositive
from dml.registry import Registry


@dataclass(frozen=True)
class LossOption:
    """A flag that sets one argument of a loss; its default is that argument's.

    Attributes:
        argument: name of the keyword argument.
        help: one line for ``--help``.
        aliases: historic flag names, without dashes.
    """

    argument: str
    help: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class LossSpec:
    """How a loss is built and trained.

    Attributes:
        build: called with ``num_classes``, ``embedding_size`` and the options' arguments, all by keyword.
        recipe: whose published training defaults go with it (``dml.recipes``).
        options: flag name without dashes → what it sets.
        lr_scale: learning rate of the loss's own parameters, in multiples of the base rate; None if it has none.
        clip: whether the published recipe clips the gradients of the loss's own parameters too.
        needs_positives: whether a batch without two images of a class gives no gradient.
    """

    build: Callable[..., nn.Module]
    recipe: str
    options: Mapping[str, LossOption] = field(default_factory=dict)
    lr_scale: float | None = None
    clip: bool = False
    needs_positives: bool = False

    def default(self, option: str) -> object:
        """The default of an option, read from the signature of what it sets."""
        return inspect.signature(self.build).parameters[self.options[option].argument].default


LOSSES: Registry[LossSpec] = Registry(
    "loss",
    {
        "proxy_anchor": LossSpec(
            ProxyAnchorLoss,
            recipe="proxy_anchor",
            options={
                "mrg": LossOption("margin", "margin δ between a proxy's positives and negatives"),
                "alpha": LossOption("alpha", "scale α of the similarities"),
            },
            lr_scale=100.0,
            clip=True,
        ),
        "proxy_nca_with_positive": LossSpec(
            ProxyNCAWithPositive,
            recipe="proxy_anchor",
            options={"nca-scale": LossOption("scale", "scale of the squared distances to proxies", ("ncaScale",))},
            lr_scale=1.0,
        ),
        "proxy_nca_without_positive": LossSpec(
            ProxyNCAWithoutPositive,
            recipe="proxy_isa",
            options={"nca-scale": LossOption("scale", "scale of the similarities to proxies", ("ncaScale",))},
            lr_scale=100.0,
            clip=True,
        ),
        "multi_similarity_mined": LossSpec(multi_similarity_mined, "proxy_anchor", needs_positives=True),
        "contrastive_all_pairs": LossSpec(contrastive_all_pairs, "proxy_anchor", needs_positives=True),
        "triplet_semihard": LossSpec(triplet_semihard, "proxy_anchor", needs_positives=True),
        "npairs_unnormalized": LossSpec(npairs_unnormalized, "proxy_anchor", needs_positives=True),
    },
    aliases={  # the published spellings
        "Proxy_Anchor": "proxy_anchor",
        "Proxy_NCA": "proxy_nca_with_positive",
        "ProxyNCA": "proxy_nca_without_positive",
        "MS": "multi_similarity_mined",
        "Contrastive": "contrastive_all_pairs",
        "Triplet": "triplet_semihard",
        "NPair": "npairs_unnormalized",
    },
)


def create_loss(
    name: str, *, num_classes: int, embedding_size: int, options: Mapping[str, object] | None = None
) -> nn.Module:
    """Build a loss of ``LOSSES`` for ``num_classes`` classes and embeddings of ``embedding_size``.

    Args:
        name: a name or published spelling.
        options: flag name → value, for the options that this loss has; others keep their defaults.

    Raises:
        UnknownNameError: no such loss.
        KeyError: an option that this loss does not have.
    """
    spec = LOSSES[name]
    arguments = {spec.options[flag].argument: value for flag, value in (options or {}).items()}
    return spec.build(num_classes=num_classes, embedding_size=embedding_size, **arguments)
