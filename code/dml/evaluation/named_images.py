"""Images with the classes that a classifier gives them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class NamedImages:
    """N images, each with K classes, the most probable first.

    Attributes:
        paths: N.
        classes: (N, K) int64.
        probabilities: (N, K), 0..1.
        names: of all classes, by their numbers.
    """

    paths: Sequence[str]
    classes: np.ndarray
    probabilities: np.ndarray
    names: Sequence[str]

    def to_csv(self) -> str:
        """``path,class_1,probability_1,class_2,…``, a row for each image."""
        rows = csv.writer(text := io.StringIO(), lineterminator="\n")
        places = range(1, self.classes.shape[1] + 1)
        rows.writerow(["path", *(column for k in places for column in (f"class_{k}", f"probability_{k}"))])
        for path, pairs in zip(self.paths, self._pairs(), strict=True):
            rows.writerow([path, *(value for name, p in pairs for value in (name, f"{p:.6f}"))])
        return text.getvalue()

    def lines(self, most: int | None = None) -> list[str]:
        """``photo.jpg: oak 92.1 %, elm 5.0 %``, of the first ``most`` images; None: of all."""
        lines = [
            f"{path}: {', '.join(f'{name} {100 * p:.1f} %' for name, p in pairs)}"
            for path, pairs in zip(self.paths[:most], self._pairs(), strict=False)
        ]
        more = len(self.paths) - len(lines)
        return [*lines, f"… and {more:,} more"] if more else lines

    def _pairs(self) -> Iterator[list[tuple[str, float]]]:
        """Of each image its (class, probability)."""
        for classes, probabilities in zip(self.classes.tolist(), self.probabilities.tolist(), strict=True):
            yield [(self.names[c], p) for c, p in zip(classes, probabilities, strict=True)]
