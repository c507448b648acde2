"""Runs that differ in nothing but their seed, together; and what the groups differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from dml.report.runs import Run

# What may differ between runs of one group: the draw, and where and with whom it was run.
INCIDENTAL = (
    *("run.seed", "run.run_name", "run.log_dir", "run.gpu_id", "run.wandb", "run.project", "run.group"),
    *("run.wandb_pictures", "run.pictures", "run.visualize", "run.save"),
    *("data.data_dir", "data.workers", "data.strict"),
)
NAMING = ("data.dataset", "model.model", "model.embedding_size", "loss.loss")
# What people look for first after those.
FIRST_FIELDS = (
    *NAMING,
    *("optim.lr", "noise.noisy_ratio", "data.sampler", "data.batch_size", "data.IPC"),
    *("optim.epochs", "optim.optimizer"),
)
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
        """For people: losses, models and data sets by name, other settings with their names, unset ones left out
        unless there are no others."""
        words = [
            value if name.rpartition(".")[2] in ("loss", "model", "dataset") else f"{name} {value}"
            for name, value in self.fields.items()
            if value != ABSENT
        ]
        if not words and self.fields:
            return f"without {', '.join(self.fields)}"
        return ", ".join(words) or "all runs"

    @property
    def repeated_seeds(self) -> list[int]:
        """Seeds of more than one run: such runs say nothing of the spread over seeds."""
        count = Counter(run.config.get("run.seed") for run in self.runs)
        return [seed for seed, times in count.items() if times > 1]


def group_runs(runs: Sequence[Run], fields: Sequence[str] = (), *, having: Collection[str] = ()) -> list[Group]:
    """Group ``runs`` by the settings ``fields``, or where none are given by all but the incidental ones.

    Args:
        fields: names of settings, such as ``optim.lr``; ``lr`` alone where no other section has one.
        having: keys of the record, such as ``val/nmi``; groups without a value of any of them are left out.

    Raises:
        ValueError: a setting that no run has, or an ambiguous one.
    """
    known = settings_of(runs)
    names = [_resolve(field, known) for field in fields] or [name for name in known if name not in INCIDENTAL]
    together: dict[tuple, list[Run]] = {}
    for run in runs:
        together.setdefault(_values(run, names), []).append(run)
    members = [same for same in together.values() if not having or any(run.has(having) for run in same)]
    shown = names if fields else _telling(members, names)
    words = short_names(shown)
    return [
        Group({word: text_of(value) for word, value in zip(words, _values(same[0], shown), strict=True)}, tuple(same))
        for same in members
    ]


def settings_of(runs: Sequence[Run]) -> list[str]:
    """Names of all settings, ``FIRST_FIELDS`` before the others.

    A section that some runs have and others do not is known by what it holds.
    """
    names = dict.fromkeys(name for run in runs for name in run.config)
    sections = {name[:end] for name in names for end, letter in enumerate(name) if letter == "."}
    ordered = sorted(names, key=lambda name: FIRST_FIELDS.index(name) if name in FIRST_FIELDS else len(FIRST_FIELDS))
    return [name for name in ordered if name not in sections]


def text_of(value: Any) -> str:
    """A setting's value as tables show it."""
    if isinstance(value, tuple):
        return " ".join(value) or ABSENT
    if value is None:
        return ABSENT
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def short_names(names: Sequence[str]) -> list[str]:
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
    """A few of the settings ``names``, the earlier ones first, that tell all groups apart."""
    shown: list[str] = []
    parts = 1
    for name in names:
        finer = len({_values(same[0], [*shown, name]) for same in members})
        if finer > parts:
            shown, parts = [*shown, name], finer
    return shown or [name for name in NAMING if name in names]


def _values(run: Run, names: Sequence[str]) -> tuple:
    """Without a setting, and with one that is unset, is the same."""
    values = (run.config.get(name) for name in names)
    return tuple(ABSENT if value is None else value for value in values)
