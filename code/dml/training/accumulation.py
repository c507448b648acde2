"""``--accumulate``: what is checked before a batch passes the networks in pieces, and what is said of it."""

from __future__ import annotations

from dml.errors import UserError
from dml.methods.base import Method
from dml.training.normalisation import learning_layers


def check_pieces(pieces: int, rows: int) -> None:
    """UserError for more pieces than there are images of a step in one process."""
    if pieces > rows:
        raise UserError(
            f"--accumulate {pieces}: a process sees {rows} images in a step, which do not fill so many pieces; at most"
            f" --accumulate {rows}"
        )


def accumulation_told(method: Method, rows: int) -> list[str]:
    """Lines for people: the pieces, and what sees one of them where it would see the batch; none of whole batches.

    Args:
        rows: images of a step in one process.
    """
    if method.pieces == 1:
        return []
    most, least = -(-rows // method.pieces), rows // method.pieces
    size = f"{least}" if most == least else f"{least} to {most}"
    lines = [
        f"--accumulate {method.pieces}: images pass the networks in {method.pieces} pieces of {size}, twice; the loss"
        " is that of the whole batch"
    ]
    if learning_layers(method.model):
        lines.append(
            "batch normalisation takes its statistics over each piece, not over the batch, and the running ones move"
            f" {method.pieces} times a step: --bn-freeze 1 trains exactly as with the whole batch"
        )
    return lines
