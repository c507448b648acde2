"""Losses and miners by name, their options by the names of their Python arguments."""

from __future__ import annotations

from torch import nn

import dml.losses as losses
import dml.miners as miners
from dml.errors import UserError
from dml.losses import LOSSES
from dml.losses.mined import MinedLoss
from dml.losses.spec import LossSpec
from dml.miners import MINERS, Miner


def create_loss(
    name: str,
    *,
    num_classes: int | None = None,
    embedding_size: int | None = None,
    miner: Miner | str | None = None,
    **options: object,
) -> nn.Module:
    """A loss: called with (B, D) embeddings and (B,) int64 labels in 0..C−1 it gives a scalar.

    Its parameters, such as proxies, are to be given to the optimiser. A loss of pairs is 0 for a batch without any.

    Args:
        name: of ``--loss``, in any spelling: "proxy_anchor", "Proxy_Anchor", "triplet" …
        num_classes: C.
        embedding_size: D. Both may be left out for a loss of pytorch-metric-learning, ``pml/CLASS``, that needs none.
        miner: picks the tuples of a loss that takes some; None: its own default.
        options: by the names of the loss's arguments, such as ``margin=0.1, alpha=32`` of proxy_anchor; others keep the
            published default.

    Raises:
        UnknownNameError: no such loss or miner; the message lists those that there are.
        UserError: an option that the loss does not have, listing those that it has; a value out of range; a miner that
            the loss cannot use.
    """
    spec = LOSSES[name]
    if None in (num_classes, embedding_size) and not spec.miner_family:
        raise UserError(f"loss {name!r} needs num_classes and embedding_size")
    picking = _name_of_miner(name, spec, miner)
    loss = losses.create_loss(
        name, num_classes=num_classes, embedding_size=embedding_size, options=spec.by_flag(options), miner=picking
    )
    if picking is None and miner is None:
        return loss
    if miner is None or isinstance(miner, str):
        return MinedLoss.with_miner(loss, picking, embedding_size=embedding_size)
    return MinedLoss(loss, miner)


def create_miner(
    name: str, *, embedding_size: int | None = None, margin: float | None = None, **options: object
) -> Miner:
    """A miner, for ``create_loss``: it picks tuples of a batch by the distances in it.

    Args:
        name: of ``--batch_mining``: "distance", "semihard" …
        embedding_size: D; may be left out for a miner of pytorch-metric-learning, ``pml/CLASS``.
        margin: of the loss that the tuples are for; "semihard" needs one.
        options: by the names of the miner's arguments, such as ``lower_cutoff=0.5`` of distance.

    Raises:
        UnknownNameError: no such miner; the message lists those that there are.
        UserError: an option that the miner does not have, listing those that it has; a value out of range.
    """
    by_flag = MINERS[name].by_flag(options)
    if embedding_size is None and not name.startswith(MINERS.prefix):
        raise UserError(f"miner {name!r} needs embedding_size")
    return miners.create_miner(name, embedding_size=embedding_size, margin=margin, options=by_flag)


def _name_of_miner(loss: str, spec: LossSpec, miner: Miner | str | None) -> str | None:
    """The name of what picks the tuples of a loss; None where it takes none. UserError for one that cannot serve it."""
    if not spec.tuples:
        if miner is not None:
            raise UserError(f"loss {loss!r} takes no tuples of the batch, and so no miner")
        return None
    if miner is None:
        return spec.default_miner
    if isinstance(miner, str):
        name = MINERS.canonical(miner)
    else:
        name = next((name for name, entry in MINERS.items() if entry.build is type(miner)), None)
    if name is not None and not spec.can_use(name):
        raise UserError(f"miner {name!r} cannot serve loss {loss!r}; it takes {spec.usable_miners}")
    return name
