"""How a metric is spelled: as a flag's value, as a key of the record, and in a table."""

from __future__ import annotations

import re

_LABELS = {
    "map_at_r": "MAP@R",
    "r_precision": "R-precision",
    "precision_at_1": "P@1",
    "top_1": "top-1",
    "top_5": "top-5",
    "nmi": "NMI",
    "f1": "F1",
}
_WITH_AT = ("e_recall_at_", "c_recall_at_", "dists_at_", "rho_spectrum_at_")
_OWN_UNITS = ("dists_at_", "rho_spectrum_at_", "loss")


def metric_key(name: str) -> str:
    """A metric's key in the record: e_recall@1 → e_recall_at_1, rho_spectrum@-1 → rho_spectrum_at_m1.

    A key stays as it is.
    """
    return re.sub("@(-?)", lambda found: "_at_m" if found[1] else "_at_", name)


def label(key: str) -> str:
    """How the metric of a key is called in tables: recall_at_1 → R@1, rho_spectrum_at_m1 → rho_spectrum@-1."""
    if key in _LABELS:
        return _LABELS[key]
    if key.startswith("recall_at_"):
        return key.replace("recall_at_", "R@")
    return key.replace("_at_m", "@-").replace("_at_", "@") if key.startswith(_WITH_AT) else key


def is_share(key: str) -> bool:
    """Whether the metric lies in 0..1 and is printed in per cent; distances, spectra and losses are not."""
    return not key.startswith(_OWN_UNITS)


def percent(fraction: float) -> str:
    """0.7312 → '73.12'."""
    return f"{100 * fraction:.2f}"


def value_text(key: str, value: float | list[float]) -> str:
    """A metric's value in a table: a share in per cent, another number with four digits, of a list its length."""
    if isinstance(value, list):
        return f"{len(value)} values"
    return percent(value) if is_share(key) else f"{value:.4f}"
