"""How a miner is described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dml.options import Spec


@dataclass(frozen=True, kw_only=True)
class MinerSpec(Spec):
    """How a miner is built.

    ``build`` is called with the options' arguments by keyword, and with the ``embedding_size`` and the ``margin`` of
    the loss, if it takes them.
    """

    kind: ClassVar[str] = "miner"

    @property
    def gives(self) -> str:
        """What the loss gets: "triplets", "sets", or the "indices" of a library's miner."""
        return self.build.gives
