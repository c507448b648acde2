"""Names and looks by which a picture tells groups apart."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

import matplotlib
from matplotlib.colors import to_hex

from dml.report.groups import Group

_COLOURS = 10
_LINESTYLES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*", "<")
MOST_GROUPS = _COLOURS * len(_MARKERS)
"""As many groups look different, both as lines and as points without any."""
_LONGEST_VALUE = 40  # characters


def titles(groups: Sequence[Group], *, width: int) -> list[str]:
    """A legend's entry for each group, no two of them alike: what not all groups share, and the number of runs.

    Args:
        width: characters of a line; a longer entry has several.
    """
    own = _without_shared(groups)
    short = [replace(group, fields={name: _cut(value) for name, value in group.fields.items()}) for group in own]
    if len({group.title for group in short}) == len({group.title for group in own}):
        own = short
    return [textwrap.fill(f"{group.title} (n={len(group.runs)})", width, subsequent_indent="  ") for group in own]


def styles(number: int) -> list[dict[str, str]]:
    """matplotlib's arguments for each of ``number`` groups, ``MOST_GROUPS`` at most: ten colours, then the same with
    another line and marker."""
    return [
        {
            "color": to_hex(matplotlib.colormaps["tab10"](index % _COLOURS)),
            "linestyle": _LINESTYLES[index // _COLOURS % len(_LINESTYLES)],
            "marker": _MARKERS[index // _COLOURS],
        }
        for index in range(min(number, MOST_GROUPS))
    ]


def _without_shared(groups: Sequence[Group]) -> list[Group]:
    """The groups without the fields in which all of them are alike; a single group as it is."""
    if len(groups) == 1:
        return list(groups)
    telling = [name for name in groups[0].fields if len({group.fields[name] for group in groups}) > 1]
    return [replace(group, fields={name: group.fields[name] for name in telling}) for group in groups]


def _cut(value: str) -> str:
    """A long value without its middle: lists and paths are told apart by their ends."""
    half = _LONGEST_VALUE // 2
    return value if len(value) <= _LONGEST_VALUE else f"{value[:half]}…{value[-half:]}"
