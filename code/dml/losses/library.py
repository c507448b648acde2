"""Every loss of pytorch-metric-learning, as ``pml/CLASS``: SupCon, Circle, CosFace, sub-center ArcFace, NT-Xent …

A loss is called with embeddings, labels and, of a miner of the library, indices. What needs more, such as a second set
of embeddings, is refused when a run starts, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from dml.losses.functional import check_batch
from dml.losses.spec import LossSpec
from dml.miners.library import (
    ARGUMENTS_HELP,
    PREFIX,
    LibraryMiner,
    arguments_of,
    build_of_library,
    class_of_library,
    part_of_library,
    try_step,
)
from dml.normalize import widen
from dml.options import Option

_NO_LOSS = "it is a part that losses are made of, and computes nothing"
NO_LOSSES = {
    "BaseLossWrapper": _NO_LOSS,
    "BaseMetricLossFunction": _NO_LOSS,
    "EmbeddingRegularizerMixin": _NO_LOSS,
    "GenericPairLoss": _NO_LOSS,
    "WeightMixin": _NO_LOSS,
    "WeightRegularizerMixin": _NO_LOSS,
    "CrossBatchMemory": "it wraps another loss; --enableMemory gives MS, Contrastive and ProxyISA a memory",
    "ManifoldLoss": "it compares a batch with points of its own and takes no labels",
    "MultipleLosses": "it is a sum of other losses, and one is named here",
    "SelfSupervisedLoss": "it wraps another loss, for two views without labels; train_stml.py trains without labels",
    "VICRegLoss": "it compares two views of each image, and labels are all that train.py gives; train_stml.py trains"
    " without labels",
}
"""Classes of the library that cannot serve → why."""
PROXY_LR_SCALE = 100.0  # as Proxy-Anchor's


class LibraryLoss(nn.Module):
    """A loss of the library as a loss of ours, which checks its input and widens half precision.

    What the library keeps in plain tensors, such as a running histogram, becomes a buffer, so that checkpoints hold it
    and it moves with the module. O(B²·D) and more: see the library.

    Args:
        name: ``pml/CLASS``.
        num_classes: C; None leaves labels unchecked, and is for a loss that takes none.
        embedding_size: D; likewise.
        loss_args: its own arguments, or JSON of them.

    Attributes:
        tuples: "indices", which a ``LibraryMiner`` gives; without, the loss takes all that a batch has.

    Raises:
        UnknownNameError, UserError: see ``class_of_library``, ``build_of_library`` and ``try_step``.
    """

    tuples = LibraryMiner.gives

    def __init__(
        self,
        *,
        name: str,
        num_classes: int | None = None,
        embedding_size: int | None = None,
        loss_args: str | Mapping[str, Any] = "{}",
    ):
        super().__init__()
        self.num_classes, self.embedding_size = num_classes, embedding_size
        cls = class_of_library("loss", name, NO_LOSSES)
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            trial = _built(cls, loss_args, None if num_classes is None else 3, embedding_size)
        try_step(f"--loss {name}", trial, embedding_size or 8)
        is_check = torch.empty(0).device.type == "meta"  # where many of them cannot be built
        self.loss = trial if is_check else _built(cls, loss_args, num_classes, embedding_size)
        for part in self.loss.modules():
            for key, value in list(vars(part).items()):
                if isinstance(value, Tensor):
                    delattr(part, key)
                    part.register_buffer(key, value)

    def checked(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The embeddings in float32 or wider. ValueError if they or the labels do not fit."""
        if self.num_classes is not None and self.embedding_size is not None:
            check_batch(embeddings, labels, self.num_classes, self.embedding_size)
        return widen(embeddings)

    def mined(self, rows: Tensor) -> Tensor:
        """What a miner of the library picks tuples by: the rows themselves."""
        return rows

    def forward(self, embeddings: Tensor, labels: Tensor, tuples: tuple[Tensor, ...] | None = None) -> Tensor:
        """Scalar loss of (B, D) embeddings and (B,) int64 labels in 0..C−1, of the ``tuples`` of a miner if given.

        Raises:
            ValueError: shapes or labels that do not fit.
        """
        rows = self.checked(embeddings, labels)
        value = self.loss(rows, labels, tuples).sum()  # some give (1,)
        for buffer in self.loss.buffers():
            buffer.detach_()  # a running histogram would reach into the last step's graph
        return value


def _built(cls: type, given: str | Mapping[str, Any], num_classes: int | None, size: int | None) -> nn.Module:
    """The library's object, with the sizes under the names that its classes have for them."""
    sizes = {"num_classes": num_classes, "embedding_size": size, "descriptors_dim": size}
    return build_of_library(cls, "loss-args", given, sizes)


class LibraryLossSpec(LossSpec):
    """How a loss of the library is described."""

    def by_flag(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """They are those of the library's class, which checks them."""
        return {"loss-args": dict(arguments)}


@cache
def library_loss(name: str) -> LossSpec:
    """The description of ``pml/CLASS``: trained as Proxy-Anchor is, its parameters at the rate of proxies.

    Raises:
        UnknownNameError, UserError: see ``class_of_library``.
    """
    cls = class_of_library("loss", name, NO_LOSSES)
    known = arguments_of(cls)

    def build(
        *,
        num_classes: int | None = None,
        embedding_size: int | None = None,
        loss_args: str | Mapping[str, Any] = "{}",
    ) -> LibraryLoss:
        return LibraryLoss(name=name, num_classes=num_classes, embedding_size=embedding_size, loss_args=loss_args)

    build.tuples = LibraryLoss.tuples
    has_weights = issubclass(cls, part_of_library("losses.mixins").WeightMixin)
    has_weights |= "descriptors_dim" in known
    return LibraryLossSpec(
        name=name,
        build=build,
        recipe="proxy_anchor",
        options={"loss-args": Option("loss_args", ARGUMENTS_HELP % '"temperature": 0.1')},
        has_proxies=False,
        lr_scale=PROXY_LR_SCALE if has_weights or "learn_beta" in known else None,
        miner_family=PREFIX,
        needs_positives=not has_weights,
    )
