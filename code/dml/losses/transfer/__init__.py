"""Transfer losses by name: what the target network learns from a frozen source network.

Each is called as ``loss(target, source, *, labels, indices) -> scalar`` with a ``Representation`` of either network.
A new one is one file beside this one, one entry of ``TRANSFER_LOSSES``, one test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from dml.losses.spec import LossOption
from dml.losses.transfer.attention import AttentionLoss
from dml.losses.transfer.contract import Representation
from dml.losses.transfer.crd import CRDLoss
from dml.losses.transfer.darkrank import DarkRankLoss
from dml.losses.transfer.fitnet import FitNetLoss
from dml.losses.transfer.pkt import PKTLoss
from dml.losses.transfer.relaxed_contrastive import RelaxedContrastiveLoss
from dml.losses.transfer.relaxed_ms import RelaxedMSLoss
from dml.losses.transfer.rkd import RKDLoss
from dml.ranges import above, at_least
from dml.registry import Registry

__all__ = [
    "TRANSFER_LOSSES",
    "Representation",
    "TransferLossSpec",
    "TransferSizes",
    "create_transfer_loss",
]


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


@dataclass(frozen=True)
class TransferLossSpec:
    """How a transfer loss is built and what it needs.

    Attributes:
        build: called with the options' arguments and those of ``sized_by``, all by keyword.
        needs: what it reads of a ``Representation``: "embeddings", "features" or "maps".
        options: flag name without dashes → what it sets.
        sized_by: attributes of ``TransferSizes`` that are arguments of the same name.
        with_proxy_anchor: whether it is published together with Proxy-Anchor on the target's embedding.
        fewest_rows: of a batch, images × views, that it can compare.
    """

    build: Callable[..., nn.Module]
    needs: str = "embeddings"
    options: Mapping[str, LossOption] = field(default_factory=dict)
    sized_by: tuple[str, ...] = ()
    with_proxy_anchor: bool = False
    fewest_rows: int = 2

    def default(self, option: str) -> object:
        """The default of an option, read from the signature of what it sets."""
        return self.options[option].default_in(self.build)


_RELAXED = {
    "sigma": LossOption("sigma", "bandwidth σ of the source's similarity", within=above(0)),
    "delta": LossOption("delta", "relative distance δ that dissimilar pairs are pushed to", within=above(0)),
}

TRANSFER_LOSSES: Registry[TransferLossSpec] = Registry(
    "transfer loss",
    {
        "relaxed_contrastive": TransferLossSpec(RelaxedContrastiveLoss, options=_RELAXED),
        "relaxed_multi_similarity": TransferLossSpec(
            RelaxedMSLoss,
            options=_RELAXED
            | {"forced-pairs": LossOption("forced_pairs", "count views of an image as alike whatever the source says")},
        ),
        "rkd": TransferLossSpec(RKDLoss),
        "pkt": TransferLossSpec(PKTLoss),
        "darkrank": TransferLossSpec(DarkRankLoss, fewest_rows=5),
        "attention": TransferLossSpec(AttentionLoss, needs="maps", with_proxy_anchor=True, fewest_rows=1),
        "fitnet": TransferLossSpec(
            FitNetLoss,
            needs="maps",
            sized_by=("target_channels", "source_channels"),
            with_proxy_anchor=True,
            fewest_rows=1,
        ),
        "crd": TransferLossSpec(
            CRDLoss,
            needs="features",
            options={
                "crd-negatives": LossOption("num_negatives", "images of other classes per row", within=at_least(1))
            },
            sized_by=("target_features", "source_features", "labels"),
            with_proxy_anchor=True,
            fewest_rows=1,
        ),
    },
    aliases={  # the published spellings
        "Relaxed_Contra": "relaxed_contrastive",
        "Relaxed_MS": "relaxed_multi_similarity",
        "RKD": "rkd",
        "PKT": "pkt",
        "DarkRank": "darkrank",
        "Attention": "attention",
        "FitNet": "fitnet",
        "CRD": "crd",
    },
)


def create_transfer_loss(name: str, *, sizes: TransferSizes, options: Mapping[str, object] | None = None) -> nn.Module:
    """Build a loss of ``TRANSFER_LOSSES`` for two networks and a training set.

    Args:
        name: a name or published spelling.
        options: flag name → value, for the options that this loss has; others keep their defaults.

    Raises:
        UnknownNameError: no such loss.
        KeyError: an option that this loss does not have.
    """
    spec = TRANSFER_LOSSES[name]
    arguments = {spec.options[flag].argument: value for flag, value in (options or {}).items()}
    return spec.build(**arguments, **{attribute: getattr(sizes, attribute) for attribute in spec.sized_by})
