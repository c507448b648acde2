"""Losses by name. A new loss is one file in the room that says what it is, one line of ``LOSSES``, one test.

The rooms: ``proxies`` a vector for each class; ``pairs`` of the batch or of a memory; ``tuples`` that a miner picks;
``ranking`` whole lists; ``regularizers`` that look at no labels; ``transfer`` from a source network; ``self_taught``
without labels. What is beside them is shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from dml.errors import UserError
from dml.losses.library import library_loss
from dml.losses.similarity import Similarity
from dml.losses.spec import LossSpec
from dml.miners.library import PREFIX
from dml.registry import OpenRegistry


class Losses(OpenRegistry[LossSpec]):
    """The losses written out here, and those of pytorch-metric-learning as ``pml/CLASS``."""

    prefix, origin = PREFIX, "pytorch-metric-learning"

    def member(self, name: str) -> LossSpec:
        """See ``dml.losses.library``."""
        return library_loss(name)


LOSSES: Losses = Losses.collected(
    "loss",
    __name__,
    (
        "proxies.proxy_anchor",
        "proxies.proxy_isa",
        "proxies.proxy_nca",
        "proxies.softmax",
        "proxies.softtriple",
        "proxies.arcface",
        "pairs.multi_similarity",
        "pairs.contrastive",
        "pairs.lifted",
        "pairs.histogram",
        "tuples.triplet",
        "tuples.npair",
        "tuples.angular",
        "tuples.margin",
        "tuples.quadruplet",
        "tuples.snr",
        "ranking.smooth_ap",
        "regularizers.adversarial_separation",
    ),
)


@dataclass(frozen=True)
class LossChoice:
    """What ``--loss`` and ``--enableMemory`` select together.

    Attributes:
        name: of the entry in ``LOSSES``.
        spec: the entry.
        recipe: whose defaults apply.
        distilled: whether listwise self-distillation is added.
    """

    name: str
    spec: LossSpec
    recipe: str
    distilled: bool = False


DISTILLED = "_lsd"
"""Ending of a spelling that adds listwise self-distillation to any loss."""


def choose_loss(spelling: str, *, memory: bool) -> LossChoice:
    """The loss that ``spelling`` stands for, over a cross-batch memory if ``memory``, distilled if it ends in _lsd.

    Raises:
        UnknownNameError: no such loss.
        UserError: a memory for a loss that cannot use one.
    """
    plain = spelling.removesuffix(DISTILLED)
    spec = LOSSES[plain]
    if memory:
        if spec.with_memory is None:
            able = [alias for alias, entry in LOSSES.aliases.items() if LOSSES[entry].with_memory]
            raise UserError(f"--enableMemory is not used by --loss {spelling}, but by {', '.join(able)}")
        spec = LOSSES[spec.with_memory]
    return LossChoice(spec.name, spec, spec.spelling_recipes.get(plain, spec.recipe), plain != spelling)


def create_loss(
    name: str,
    *,
    num_classes: int | None,
    embedding_size: int | None,
    options: Mapping[str, object] | None = None,
    similarity: Similarity | None = None,
    miner: str | None = None,
    model: str | None = None,
) -> nn.Module:
    """Build a loss of ``LOSSES`` for ``num_classes`` classes and embeddings of ``embedding_size``.

    A loss whose spec names ``tuples`` is called with them: see ``dml.losses.mined.MinedLoss``.

    Args:
        name: a name or published spelling.
        num_classes, embedding_size: None for a loss of pytorch-metric-learning that takes none.
        options: flag name → value, for the options that this loss has; others keep their defaults.
        similarity: in place of the loss's own, if its ``takes_similarity``.
        miner: name of the miner that will pick its tuples, which may fix some of its options.
        model: name of the backbone that it trains, with which some of its defaults may differ.

    Raises:
        UnknownNameError: no such loss.
        UserError: an option that this loss does not have, listing those that it has.
    """
    spec = LOSSES[name]
    arguments = spec.arguments(options or {}, miner=miner, model=model)
    if similarity is not None:
        arguments["similarity"] = similarity
    return spec.build(num_classes=num_classes, embedding_size=embedding_size, **arguments)
