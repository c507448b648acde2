"""Aligned columns of text that fit a terminal."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80  # characters of the usual terminal
_GAP = 2


def aligned(cells: Sequence[Sequence[str]], *, titles: int = 1, width: int = WIDTH, left: bool = False) -> str:
    """Rows of ``cells``, the first one headings, as text; columns that do not fit beside each other go on below, behind
    the same titles.

    Args:
        cells: as many in each row.
        titles: how many columns, the first ones, name a row.
        width: characters of a line, as far as the titles and one more column leave a choice.
        left: whether titles stand at the left of their columns; all else stands at the right.
    """
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    named = list(range(min(titles, len(widths))))
    blocks: list[list[int]] = [[]]
    for column in range(len(named), len(widths)):
        taken = sum(widths[other] + _GAP for other in [*named, *blocks[-1]])
        if blocks[-1] and taken + widths[column] > width:
            blocks.append([])
        blocks[-1].append(column)
    return "\n\n".join(_block(cells, [*named, *block], widths, named if left else []) for block in blocks)


def _block(cells: Sequence[Sequence[str]], columns: Sequence[int], widths: Sequence[int], left: Sequence[int]) -> str:
    def line(row: Sequence[str]) -> str:
        parts = [
            row[column].ljust(widths[column]) if column in left else row[column].rjust(widths[column])
            for column in columns
        ]
        return (" " * _GAP).join(parts).rstrip()

    first, *others = cells
    rule = "-" * (sum(widths[column] for column in columns) + _GAP * (len(columns) - 1))
    return "\n".join([line(first), rule, *map(line, others)])
