"""From which score on a name is believed: measured on photographs that are not in the index, or are left out of it.

The lower the threshold, the more wrong names; the higher, the more refusals of photographs whose product is there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dml.errors import UserError

NEVER = 1.01  # a threshold that no score reaches
AT_LEAST = 10  # names that a precision must have been measured on
SHOWN = (0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Judged:
    """The best name of each of n photographs.

    Attributes:
        scores: (n,) float; −inf where there was no name.
        right: (n,) bool, whether it is the product's.
        present: (n,) bool, whether the index had the product, so that a right name was to be had.
    """

    scores: np.ndarray
    right: np.ndarray
    present: np.ndarray

    def at(self, threshold: float) -> Point:
        """What comes of a threshold."""
        named = self.scores >= threshold
        wrong = named & ~self.right
        return Point(
            threshold=threshold,
            precision=float((named & self.right).sum() / named.sum()) if named.any() else 1.0,
            wrong=float(wrong.mean()),
            refused=float((~named)[self.present].mean()) if self.present.any() else 0.0,
            named_unknown=float(named[~self.present].mean()) if not self.present.all() else 0.0,
        )


@dataclass(frozen=True)
class Point:
    """What comes of a threshold, as shares.

    Attributes:
        threshold: of the score.
        precision: right names of all names that are said.
        wrong: wrong names of all photographs.
        refused: refusals of the photographs whose product is in the index.
        named_unknown: names, all of them wrong, of the photographs whose product is not.
    """

    threshold: float
    precision: float
    wrong: float
    refused: float
    named_unknown: float


@dataclass(frozen=True)
class Calibration:
    """A threshold and how it came about; an index keeps it.

    Attributes:
        precision: that was asked for.
        chosen: what comes of the threshold.
        others: what would have come of other precisions.
        photographs: that were asked about, of products that the index has,
        unknown: and of products that it does not have.
        items: that the index had.
        how: in words, which photographs these were.
    """

    precision: float
    chosen: Point
    others: tuple[Point, ...]
    photographs: int
    unknown: int
    items: int
    how: str

    @property
    def threshold(self) -> float:
        """From which score on the best name is believed."""
        return self.chosen.threshold

    @property
    def is_reached(self) -> bool:
        """Whether the precision is what was asked for."""
        return self.chosen.precision >= self.precision

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Calibration:
        """Of what ``to_json`` gave."""
        points = {"chosen": Point(**values["chosen"]), "others": tuple(Point(**point) for point in values["others"])}
        return cls(**values | points)


def calibrate(judged: Judged, precision: float, *, items: int, how: str) -> Calibration:
    """The least threshold at which so many of the names that are said are right.

    Where none reaches ``precision``, the one that comes nearest to it.

    Args:
        precision: 0..1.
        items, how: see ``Calibration``.

    Raises:
        UserError: too few photographs.
    """
    if len(judged.scores) < AT_LEAST or not judged.present.any():
        raise UserError(
            f"{judged.present.sum()} photographs of products that the index has are too few to calibrate it:"
            f" at least {AT_LEAST} must be asked about"
        )
    return Calibration(
        precision=precision,
        chosen=_point(judged, precision),
        others=tuple(_point(judged, other) for other in SHOWN),
        photographs=int(judged.present.sum()),
        unknown=int((~judged.present).sum()),
        items=items,
        how=how,
    )


def _point(judged: Judged, precision: float) -> Point:
    order = np.argsort(-judged.scores, kind="stable")
    scores, right = judged.scores[order], judged.right[order]
    number = np.arange(1, len(scores) + 1)
    precisions = right.cumsum() / number
    last_of_its_score = np.append(scores[1:] != scores[:-1], True)
    usable = last_of_its_score & (number >= AT_LEAST) & np.isfinite(scores)
    if not usable.any():
        return judged.at(NEVER)
    reached = np.flatnonzero(usable & (precisions >= precision))
    place = reached[-1] if len(reached) else np.argmax(np.where(usable, precisions, -1.0))
    following = scores[place + 1] if place + 1 < len(scores) and np.isfinite(scores[place + 1]) else 0.0
    return judged.at(float((scores[place] + following) / 2))
