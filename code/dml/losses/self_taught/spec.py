"""How a loss without labels is described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dml.options import Spec


@dataclass(frozen=True, kw_only=True)
class SelfTaughtSpec(Spec):
    """How a loss without labels is built.

    ``build`` is called with the options' arguments by keyword, and with what else it takes: STML's with the
    ``num_neighbours``, others with the ``embedding_size``, and some with a ``predictor_width``.

    Attributes:
        recipe: whose published training defaults go with it (``dml.recipes``).
        head: the embedding layer that the method is published with, a name of ``dml.models.architecture.HEADS``.
    """

    kind: ClassVar[str] = "method"

    recipe: str = "self_supervised"
    head: str = "linear"

    @property
    def has_predictor(self) -> bool:
        """Whether ``build`` takes a ``predictor_width``."""
        return self.takes("predictor_width")
