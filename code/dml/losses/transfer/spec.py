"""How a loss between a target and a source network is described: what it reads, what it is sized by."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from torch import Tensor

from dml.options import Spec


@dataclass(frozen=True)
class TransferSizes:
    """What the parameters and memories of transfer losses are sized by.

    Attributes:
        target_features, source_features: sizes of the networks' pooled features.
        target_channels, source_channels: of the matched stages, in their order.
        labels: (N,) int64 class of each training image.
    """

    target_features: int
    source_features: int
    target_channels: tuple[int, ...]
    source_channels: tuple[int, ...]
    labels: Tensor


@dataclass(frozen=True, kw_only=True)
class TransferLossSpec(Spec):
    """How a transfer loss is built and what it needs.

    ``build`` is called with the options' arguments, and with those attributes of ``TransferSizes`` that it takes.

    Attributes:
        needs: what it reads of a ``Representation``: "embeddings", "features" or "maps".
        with_proxy_anchor: whether it is published together with Proxy-Anchor on the target's embedding.
        fewest_rows: of a batch, images × views, that it can compare.
    """

    kind: ClassVar[str] = "transfer loss"

    needs: str = "embeddings"
    with_proxy_anchor: bool = False
    fewest_rows: int = 2

    def sized_by(self, sizes: TransferSizes) -> dict[str, object]:
        """Arguments of ``build``: what it takes of ``sizes``."""
        return {item.name: getattr(sizes, item.name) for item in fields(sizes) if self.takes(item.name)}
