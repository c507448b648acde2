"""Output for streams that do not know every character: plain ones instead of an error."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

_PAIRS = """
    –=- −=- ‐=- ‑=- —=-- …=... →=-> ←=<- ·=* ×=x ±=+- ≤=<= ≥=>= ≠=!= ’=' ‘=' “=" ”=" λ=lambda ‖=|| ½=1/2 √=sqrt ∞=inf
    ∝=~ µ=mu §=par.
"""
PLAIN = dict(pair.split("=", 1) for pair in _PAIRS.split())


def plainly(error: UnicodeError) -> tuple[str, int]:
    """A handler of codecs: what stands for the characters that a stream does not know, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain_character, error.object[error.start : error.end])), error.end


def plain_character(character: str) -> str:
    """``σ`` → ``sigma``, ``é`` → ``e``, ``²`` → ``2``, ``–`` → ``-``; ``?`` for what has no name in ASCII."""
    if character in PLAIN:
        return PLAIN[character]
    if unicodedata.combining(character):
        return ""
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    name = unicodedata.name(character, "")
    if not letters and name.startswith("GREEK"):
        letters = name.split()[-1].lower()
    return letters or "?"


def write_plainly() -> None:
    """Let the program's output take plain characters where its streams have no others."""
    codecs.register_error("dml.plain", plainly)
    for stream in (sys.stdout, sys.stderr):
        # Not those of tests and notebooks; nor what Python does itself in UTF-8 with names that are no text.
        if isinstance(stream, io.TextIOWrapper) and (stream.errors, stream.encoding) != ("surrogateescape", "utf-8"):
            stream.reconfigure(errors="dml.plain")
