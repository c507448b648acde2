"""Text in pictures stands as it is written."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib

_MISSING = re.compile(r"Glyph (\d+) ")  # how matplotlib begins its warning of a character that a font lacks


@contextmanager
def plain_text() -> Iterator[None]:
    """Within it, or a function that it decorates, no text of a picture of matplotlib's is a formula.

    So names of classes, files and runs are drawn as they are, dollars included, whatever the user's matplotlibrc says.
    Text is parsed when a figure is saved, so that belongs inside.

    Warns:
        UserWarning: characters that the font lacks, in one line; they are drawn as boxes.
    """
    with (
        matplotlib.rc_context({"text.parse_math": False, "text.usetex": False}),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        yield
    lacking = set()
    for warning in caught:
        if found := _MISSING.match(str(warning.message)):
            lacking.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if lacking:
        shown = "".join(sorted(lacking)[:20]) + "…" * (len(lacking) > 20)
        warnings.warn(f"the font of the pictures lacks these characters, which are drawn as boxes: {shown}")
