"""What is known of a backbone by its name, before it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dml.models.backbones.base import Backbone, class_of
from dml.models.input_spec import InputSpec


@dataclass(frozen=True)
class Traits:
    """See the attributes of ``Backbone``."""

    input_spec: InputSpec
    smallest_side: int
    has_batch_norm: bool
    pooling: str
    num_prefix_tokens: int | None
    has_class_token: bool
    is_sized: bool
    has_drop_path: bool

    @classmethod
    def of(cls, network: type[Backbone] | Backbone) -> Traits:
        """Those of a class, or of a network."""
        return cls(**{name: getattr(network, name) for name in cls.__dataclass_fields__})


def traits_of(build: Callable[..., Backbone]) -> Traits:
    """What an entry of a registry of backbones announces."""
    network = class_of(build)
    own = getattr(network, "announced", None)  # of one class for many networks
    return Traits.of(network) if own is None else own(*build.args)
