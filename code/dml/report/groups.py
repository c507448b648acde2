"""Runs that differ in nothing but their seed, together; and what the groups differ in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from dml.errors import UserError
from dml.report.data import DATA, DIGEST, NAME
from dml.report.runs import Run

CHANGES_NOTHING = (
    # The draw, and where and under which name it was run.
    *("run.seed", "run.run_name", "run.remark", "run.log_dir", "run.gpu_id", "run.wandb", "run.project", "run.group"),
    *("data.data_dir", "data.workers", "data.cache_images", "data.strict", "run.wandb_pictures", "run.tracker"),
    # What else is computed, drawn or kept.
    *("run.pictures", "run.visualize", "run.save", "run.as_source"),
    *("evaluation.metrics", "evaluation.train_metrics", "evaluation.storage_metrics", "evaluation.eval_first"),
    *("evaluation.eval_test_every", "finetuning.feature_cache"),
    # Whose defaults apply, each of which is on record; and in which form options are.
    *("recipe", "loss.complete"),
    # Checks of a file, and flags that are accepted as published and have no effect.
    *("transfer.source_model", "transfer.source_embedding_size", "self_taught.teacher_norm"),
    *("loss.options.miner_distance_upper_cutoff", "loss.options.miner_rho_distance_upper_cutoff"),
)
"""Settings that no figure depends on but for chance: they tell no groups apart, and no caption names them."""
METHOD = "comparison.method"
"""Of a run of compare.py that a record holds: what its plan calls it."""
NAMING = ("data.dataset", "model.model", "model.embedding_size", "loss.loss")
# What people look for first after those.
FIRST_FIELDS = (
    *(NAMING[0], *DATA, METHOD, *NAMING[1:]),
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
            value if name.rpartition(".")[2] in ("loss", "model", "dataset", "data_name") else f"{name} {value}"
            for name, value in self.fields.items()
            if value != ABSENT
        ]
        if not words and self.fields:
            return f"without {', '.join(self.fields)}"
        return ", ".join(words) or "all runs"

    @property
    def repeated_seeds(self) -> dict[int, tuple[Run, ...]]:
        """Seed → the runs with it, where there are several: they say nothing of the spread over seeds."""
        by_seed: dict[int, list[Run]] = {}
        for run in self.runs:
            by_seed.setdefault(run.config.get("run.seed"), []).append(run)
        return {seed: tuple(runs) for seed, runs in by_seed.items() if seed is not None and len(runs) > 1}


def group_runs(runs: Sequence[Run], fields: Sequence[str] = (), *, having: Collection[str] = ()) -> list[Group]:
    """Group ``runs`` by the settings ``fields``, or where none are given by all but ``CHANGES_NOTHING``.

    Runs over different images are never of one group, whatever the fields. Where the names of their data tell them
    apart these are among the fields, otherwise the digests.

    Args:
        fields: names of settings, such as ``optim.lr``; ``lr`` alone where no other section has one.
        having: keys of the record, such as ``val/nmi``; groups without a value of any of them are left out.

    Raises:
        UserError: a setting that no run has, or an ambiguous one.
    """
    known = settings_of(runs)
    names = [_resolve(field, known) for field in fields] or [name for name in known if name not in CHANGES_NOTHING]
    together: dict[tuple, list[Run]] = {}
    for run in runs:
        together.setdefault(_values(run, [*names, DIGEST]), []).append(run)
    members = [same for same in together.values() if not having or any(run.has(having) for run in same)]
    shown = [*names, *_telling_data(members, names)] if fields else _telling(members, names)
    words = short_names(shown)
    return [
        Group({word: text_of(value) for word, value in zip(words, _values(same[0], shown), strict=True)}, tuple(same))
        for same in members
    ]


def refuse_repeated_seeds(groups: Sequence[Group]) -> None:
    """UserError if a group has several runs of one seed, naming them and the ways out."""
    found = [(group, seed, runs) for group in groups for seed, runs in group.repeated_seeds.items()]
    if not found:
        return
    group, seed, runs = found[0]
    names = [name for name in settings_of(runs) if name not in CHANGES_NOTHING]
    differing = [name for name in names if len({text_of(run.config.get(name)) for run in runs}) > 1]
    known = "copies of one run, by their records" if all(run.epochs == runs[0].epochs for run in runs) else ""
    known = f"they differ in {', '.join(short_names(differing))}" if differing else known
    ways = [f"add {'that' if len(differing) == 1 else 'those'} to --group-by"] if differing else []
    ways.append(f"leave out all but one, as by --leave-out {' '.join(run.name for run in runs[1:])}")
    more = f" {len(found) - 1} more seeds are repeated." if len(found) > 1 else ""
    raise UserError(
        f"{group.title}: seed {seed} would count {len(runs)} times, with the runs {', '.join(run.name for run in runs)}"
        f"{f' ({known})' if known else ''}. A mean over seeds takes each once: {', or '.join(ways)}.{more}"
    )


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
        raise UserError(f"--group-by {field} is one of {', '.join(matches)}: say which")
    raise UserError(f"--group-by {field}: no run has such a setting. There are: {', '.join(known)}")


def _telling(members: Sequence[Sequence[Run]], names: Sequence[str]) -> list[str]:
    """A few of the settings ``names``, the earlier ones first, that tell all groups apart."""
    shown: list[str] = []
    parts = 1
    for name in names:
        finer = len({_values(same[0], [*shown, name]) for same in members})
        if finer > parts:
            shown, parts = [*shown, name], finer
    return shown or [name for name in NAMING if name in names]


def _telling_data(members: Sequence[Sequence[Run]], names: Sequence[str]) -> list[str]:
    """The name of the data, or the digest, or neither: what it takes beside ``names`` to tell all groups apart."""
    for more in ([], [NAME], [DIGEST]):
        if len({_values(same[0], [*names, *more]) for same in members}) == len(members):
            return [name for name in more if name not in names]
    return []


def _values(run: Run, names: Sequence[str]) -> tuple:
    """Without a setting, and with one that is unset, is the same."""
    values = (run.config.get(name) for name in names)
    return tuple(ABSENT if value is None else value for value in values)
