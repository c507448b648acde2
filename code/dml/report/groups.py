"""Runs that differ in nothing but their seed, together; and what the groups differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dml.report.runs import Run

# What may differ between runs of one group: the draw, and where and with whom it was run.
INCIDENTAL = (
    *("run.seed", "run.run_name", "run.log_dir", "run.gpu_id", "run.wandb", "run.project", "run.group"),
    *("run.pictures", "run.visualize", "run.save", "data.data_dir", "data.workers"),
)
FIRST_FIELDS = ("data.dataset", "model.model", "model.embedding_size", "loss.loss")
ABSENT = "–"


@dataclass(frozen=True)
class Group:
    """Runs that are told apart by their seeds.

    Attributes:
        fields: setting → value as text, what tells this group from the others.
        runs: at least one.
    """

    fields: dict[str, str]
    runs: tuple[Run, ...]

    @property
    def title(self) -> str:
        """For legends: losses, models and data sets by name, other settings with their names, unset ones left out."""
        words = [
            value if name.rpartition(".")[2] in ("loss", "model", "dataset") else f"{name} {value}"
            for name, value in self.fields.items()
            if value != ABSENT
        ]
        return ", ".join(words) or "all runs"

    @property
    def repeated_seeds(self) -> list[int]:
        """Seeds of more than one run: such runs say nothing of the spread over seeds."""
        count = Counter(run.config.get("run.seed") for run in self.runs)
        return [seed for seed, times in count.items() if times > 1]


def group_runs(runs: Sequence[Run], fields: Sequence[str] = ()) -> list[Group]:
    """Group ``runs`` by the settings ``fields``, or where none are given by all but the incidental ones.

    Args:
        fields: names of settings, such as ``optim.lr``; ``lr`` alone where no other section has one.

    Raises:
        ValueError: a setting that no run has, or an ambiguous one.
    """
    known = _settings(runs)
    names = [_resolve(field, known) for field in fields] or [name for name in known if name not in INCIDENTAL]
    together: dict[tuple, list[Run]] = {}
    for run in runs:
        together.setdefault(_values(run, names), []).append(run)
    members = list(together.values())
    shown = names if fields else _telling(members, names)
    words = _short(shown)
    return [
        Group({word: _text(value) for word, value in zip(words, _values(same[0], shown), strict=True)}, tuple(same))
        for same in members
    ]


def _settings(runs: Sequence[Run]) -> list[str]:
    """Names of all settings; a section that some runs have and others do not is known by what it holds."""
    names = dict.fromkeys(name for run in runs for name in run.config)
    sections = {name[:end] for name in names for end, letter in enumerate(name) if letter == "."}
    return [name for name in names if name not in sections]


def _short(names: Sequence[str]) -> list[str]:
    """Names of settings without their sections, where that leaves them distinct."""
    last = [name.rpartition(".")[2] for name in names]
    return last if len(set(last)) == len(last) else list(names)


def _resolve(field: str, known: Sequence[str]) -> str:
    matches = [name for name in known if name == field or name.endswith(f".{field}")]
    if field in matches or len(matches) == 1:
        return field if field in matches else matches[0]
    if matches:
        raise ValueError(f"--group-by {field} is one of {', '.join(matches)}: say which")
    raise ValueError(f"--group-by {field}: no run has such a setting. There are: {', '.join(known)}")


def _telling(members: Sequence[Sequence[Run]], names: Sequence[str]) -> list[str]:
    """A few settings that tell all groups apart, those that people look for first before the others."""
    shown: list[str] = []
    parts = 1
    for name in sorted(names, key=lambda name: FIRST_FIELDS.index(name) if name in FIRST_FIELDS else len(names)):
        finer = len({_values(same[0], [*shown, name]) for same in members})
        if finer > parts:
            shown, parts = [*shown, name], finer
    return shown or [name for name in FIRST_FIELDS if name in names]


def _values(run: Run, names: Sequence[str]) -> tuple:
    return tuple(run.config.get(name, ABSENT) for name in names)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(value) or ABSENT
    if value is None:
        return ABSENT
    return f"{value:g}" if isinstance(value, float) else str(value)
