"""How many layers make how many blocks, in networks of three stages for small images."""

from __future__ import annotations

from dml.errors import UserError


def blocks_per_stage(network: str, depth: int, *, bottleneck: bool) -> int:
    """n of a network with ``depth`` convolutions: the stem, 3n blocks of three (or two) each, the classifier.

    Args:
        network: what messages call it.
        bottleneck: blocks of three convolutions; False: of two.

    Raises:
        UserError: no n of at least 1 gives the depth. NOTE: the published code takes the next smaller depth silently.
    """
    layers = 9 if bottleneck else 6
    blocks, rest = divmod(depth - 2, layers)
    if blocks < 1 or rest:
        kind = "with bottlenecks" if bottleneck else "without bottlenecks"
        raise UserError(f"a {network}'s depth is {layers}n + 2 {kind}, with n of at least 1; got {depth}")
    return blocks
