"""Losses by name. A new loss is one file beside this one, one entry of ``LOSSES``, one test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from dml.errors import UserError
from dml.losses.criteria import CRITERIA, CRITERIA_ALIASES
from dml.losses.library import (
    contrastive_all_pairs,
    multi_similarity_mined,
    npairs_unnormalized,
    triplet_semihard,
)
from dml.losses.pair_memory import ContrastiveMemoryLoss, MultiSimilarityMemoryLoss
from dml.losses.proxy_anchor import ProxyAnchorLoss
from dml.losses.proxy_isa import ProxyISALoss, proxy_isa_without_memory
from dml.losses.proxy_nca import ProxyNCAWithoutPositive, ProxyNCAWithPositive
from dml.losses.similarity import Similarity
from dml.losses.spec import LossOption, LossSpec
from dml.ranges import above, at_least
from dml.registry import Registry

_PROXY_ANCHOR_OPTIONS = {
    "mrg": LossOption("margin", "margin δ between a proxy's positives and negatives", within=at_least(0)),
    "alpha": LossOption("alpha", "scale α of the similarities", within=above(0)),
}
_PROXY_ISA_OPTIONS = {
    **_PROXY_ANCHOR_OPTIONS,
    "V": LossOption("V", "effective number of samples at which a class counts as fully seen", within=at_least(1)),
    "lam": LossOption("lam", "λ, least distance between learned similarity and outlier threshold", within=at_least(0)),
}
_MEMORY_OPTIONS = {
    "memory-size": LossOption("memory_size", "rows of the cross-batch memory", ("T",), within=at_least(1)),
    "start-epoch": LossOption(
        "memory_from_epoch", "first epoch with memory, from 0; Proxy-ISA filters one later", within=at_least(0)
    ),
}

LOSSES: Registry[LossSpec] = Registry(
    "loss",
    {
        "proxy_anchor": LossSpec(
            ProxyAnchorLoss,
            recipe="proxy_anchor",
            options=_PROXY_ANCHOR_OPTIONS,
            lr_scale=100.0,
            clip=True,
        ),
        "proxy_isa": LossSpec(
            ProxyISALoss,
            recipe="proxy_isa",
            options={
                **_PROXY_ISA_OPTIONS,
                "k": LossOption(
                    "k", "how much the outlier threshold falls with the learned similarity", within=at_least(0)
                ),
                "isa-h": LossOption(
                    "h", "factor h from the mean similarity in the memory to the learned one", within=above(0)
                ),
                "isa-tau": LossOption(
                    "tau", "τ, how near to V the weights of positives begin to fall", within=above(0)
                ),
                **_MEMORY_OPTIONS,
            },
            lr_scale=100.0,
            clip=True,
            with_memory="proxy_isa",
        ),
        "proxy_isa_without_memory": LossSpec(
            proxy_isa_without_memory,
            recipe="proxy_isa",
            options=_PROXY_ISA_OPTIONS,
            lr_scale=100.0,
            clip=True,
            with_memory="proxy_isa",
            advice="without --enableMemory Proxy-ISA stays in its first phase: it learns no similarities and filters"
            " no outliers",
        ),
        "proxy_nca_with_positive": LossSpec(
            ProxyNCAWithPositive,
            recipe="proxy_anchor",
            options={
                "nca-scale": LossOption(
                    "scale", "scale of the squared distances to proxies", ("ncaScale",), within=above(0)
                )
            },
            lr_scale=1.0,
        ),
        "proxy_nca_without_positive": LossSpec(
            ProxyNCAWithoutPositive,
            recipe="proxy_isa",
            options={
                "nca-scale": LossOption("scale", "scale of the similarities to proxies", ("ncaScale",), within=above(0))
            },
            lr_scale=100.0,
            clip=True,
        ),
        "multi_similarity_mined": LossSpec(
            multi_similarity_mined, "proxy_anchor", needs_positives=True, with_memory="multi_similarity_memory"
        ),
        "multi_similarity_memory": LossSpec(
            MultiSimilarityMemoryLoss, "proxy_isa", _MEMORY_OPTIONS, with_memory="multi_similarity_memory"
        ),
        "contrastive_all_pairs": LossSpec(
            contrastive_all_pairs, "proxy_anchor", needs_positives=True, with_memory="contrastive_memory"
        ),
        "contrastive_memory": LossSpec(
            ContrastiveMemoryLoss, "proxy_isa", _MEMORY_OPTIONS, with_memory="contrastive_memory"
        ),
        "triplet_semihard": LossSpec(triplet_semihard, "proxy_anchor", needs_positives=True),
        "npairs_unnormalized": LossSpec(npairs_unnormalized, "proxy_anchor", needs_positives=True),
        **CRITERIA,
    },
    aliases={  # the published spellings
        "Proxy_Anchor": "proxy_anchor",
        "ProxyAnchor": "proxy_anchor",
        "ProxyISA": "proxy_isa_without_memory",
        "Proxy_NCA": "proxy_nca_with_positive",
        "ProxyNCA": "proxy_nca_without_positive",
        "MS": "multi_similarity_mined",
        "Contrastive": "contrastive_all_pairs",
        "Triplet": "triplet_semihard",
        "NPair": "npairs_unnormalized",
        **CRITERIA_ALIASES,
    },
)

# Spellings whose repository has the same function and trains it with other defaults than the entry's recipe.
SPELLING_RECIPES = {"ProxyAnchor": "proxy_isa"}


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
    name = LOSSES.canonical(plain)
    if memory:
        if LOSSES[name].with_memory is None:
            able = [alias for alias, entry in LOSSES.aliases.items() if LOSSES[entry].with_memory]
            raise UserError(f"--enableMemory is not used by --loss {spelling}, but by {', '.join(able)}")
        name = LOSSES[name].with_memory
    return LossChoice(name, LOSSES[name], SPELLING_RECIPES.get(plain, LOSSES[name].recipe), plain != spelling)


def create_loss(
    name: str,
    *,
    num_classes: int,
    embedding_size: int,
    options: Mapping[str, object] | None = None,
    similarity: Similarity | None = None,
    miner: str | None = None,
    model: str | None = None,
) -> nn.Module:
    """Build a loss of ``LOSSES`` for ``num_classes`` classes and embeddings of ``embedding_size``.

    A loss whose spec names ``tuples`` is called with them: see ``dml.losses.mined.MinedLoss``.

    Args:
        name: a name or published spelling.
        options: flag name → value, for the options that this loss has; others keep their defaults.
        similarity: in place of the loss's own, if its ``takes_similarity``.
        miner: name of the miner that will pick its tuples, which may fix some of its options.
        model: name of the backbone that it trains, with which some of its defaults may differ.

    Raises:
        UnknownNameError: no such loss.
        KeyError: an option that this loss does not have.
    """
    spec = LOSSES[name]
    arguments = spec.arguments(options or {}, miner=miner, model=model)
    if similarity is not None:
        arguments["similarity"] = similarity
    return spec.build(num_classes=num_classes, embedding_size=embedding_size, **arguments)
