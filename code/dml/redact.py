"""Keeps keys, tokens and passwords out of what is recorded of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

HIDDEN = "***"

_SECRET = {"token", "secret", "password", "passwd", "passphrase", "pwd", "credential", "credentials", "apikey"}
_SECRET |= {"signature", "sig", "auth"}
# What stands before the @ of an address; a path that was made of one has a single slash behind its scheme.
_USER = re.compile(r"(:/{1,2})[^/\s]+@")
_USER_AND_PASSWORD = re.compile(r"(^|/)[^/\s:@]+:[^/\s]+@")
_ASSIGNMENT = re.compile(r"([?&]?)([A-Za-z][\w.-]*)=([^&;,/\s]+)")


def redact(value: Any) -> Any:
    """``value`` with ``***`` for the secrets in its texts, those inside dictionaries, lists and tuples too.

    Secrets are the user before the @ of an address (``https://me:sesame@host``) and what is assigned to a name that
    speaks of one (``token=…``, ``X-Amz-Signature=…``, ``?key=…``).
    """
    if isinstance(value, str):
        text = _USER_AND_PASSWORD.sub(rf"\1{HIDDEN}@", _USER.sub(rf"\1{HIDDEN}@", value))
        return _ASSIGNMENT.sub(_hide, text)
    if isinstance(value, dict):
        return {name: redact(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(redact, value))
    return value


def redact_command(words: Sequence[str]) -> list[str]:
    """The words of a command line with ``***`` for secrets: as ``redact``, and the value of a flag whose name speaks of
    one (``--wandb_key VALUE``, ``--token=VALUE``)."""
    shown, hide_next = [], False
    for word in words:
        flag, assigned, _ = word.partition("=")
        names_secret = flag.startswith("-") and _is_secret(flag, key_alone=True)
        if hide_next and not word.startswith("-"):
            shown.append(HIDDEN)
        else:
            shown.append(f"{flag}={HIDDEN}" if names_secret and assigned else redact(word))
        hide_next = names_secret and not assigned
    return shown


def _hide(match: re.Match[str]) -> str:
    start, name, value = match.groups()
    return f"{start}{name}={HIDDEN if _is_secret(name, key_alone=bool(start)) else value}"


def _is_secret(name: str, *, key_alone: bool) -> bool:
    """Whether a name speaks of a secret; "key" does with another word before it, or where ``key_alone``."""
    words = [word for word in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if word]
    return bool(_SECRET & set(words)) or "key" in words[0 if key_alone else 1 :]
