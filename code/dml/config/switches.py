"""What turns a section of settings on that only some runs have, and what is said to who uses its flags without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dml.conditions import Condition, Settings, flag_of

TRAIN = "train.py"
OfLoss = Callable[[Any], bool]


@dataclass(frozen=True)
class Switch:
    """When a run has a section, and everything that the command line knows of that.

    Attributes:
        is_on: settings → whether a run has the section. Asked twice: of what was typed (in train.py with ``loss`` and
            ``distilled``, whether its name ends in _lsd), and of every setting that the run then has.
        programs: the entry points that have the section's flags.
        way: how to turn it on, as it is typed.
        condition: of each of its flags; None of a section that every run of its one program has.
        flag: yes or no, turns it on and is no setting itself; "" where other settings do.
        help: the line of ``flag``.
        in_run_name: what stands in a run's default name; "" for nothing.
        recipes: recipe of the loss → the recipe that applies in its place.
        fits: entry of a loss → whether the two go together.
        without: settings of the sections that every training has which that program does not take.
    """

    is_on: Callable[[Settings], bool]
    programs: tuple[str, ...] = (TRAIN,)
    way: str = ""
    condition: Condition | None = None
    flag: str = ""
    help: str = ""
    in_run_name: str = ""
    recipes: Mapping[str, str] = field(default_factory=dict)
    fits: OfLoss = lambda spec: True
    without: frozenset[str] = frozenset()


def _only(is_on: Callable[[Settings], bool], means: str, way: str) -> Condition:
    return Condition(is_on, f"is used by {means} only: {way}", refused=True)


def by_flag(
    flag: str,
    help: str,
    means: str,
    *,
    programs: tuple[str, ...] = (TRAIN,),
    in_run_name: str = "",
    recipes: Mapping[str, str] | None = None,
    fits: OfLoss = lambda spec: True,
) -> Switch:
    """A flag of its own, yes or no: ``--noisy_label``.

    Args:
        flag: without dashes.
        help: one line.
        means: what the section is of, as in "is used by label noise only".
        programs, in_run_name, recipes, fits: see ``Switch``.
    """

    def is_on(settings: Settings) -> bool:
        return bool(settings.get(flag))

    return Switch(
        is_on,
        programs,
        way=f"--{flag}",
        condition=_only(is_on, means, f"add --{flag}"),
        flag=flag,
        help=help,
        in_run_name=in_run_name,
        recipes=recipes or {},
        fits=fits,
    )


def by_setting(
    setting: str,
    means: str,
    *,
    programs: tuple[str, ...] = (TRAIN,),
    in_run_name: str = "",
    fits: OfLoss = lambda spec: True,
) -> Switch:
    """A setting of its own, as soon as it is typed; arguments as for ``by_flag``."""

    def is_on(settings: Settings) -> bool:
        return settings.get(setting) is not None

    way = flag_of(setting)
    condition = _only(is_on, means, f"add {way}")
    return Switch(is_on, programs, way=way, condition=condition, in_run_name=in_run_name, fits=fits)


def by_choice(is_on: Callable[[Settings], bool], means: str, way: str) -> Switch:
    """Some values of other settings: ``--sampler greedy_coreset``.

    Args:
        way: as it is typed; {setting} stands for a value.
    """
    return Switch(is_on, way=way, condition=_only(is_on, means, way))


def by_program(program: str, *, without: frozenset[str] = frozenset()) -> Switch:
    """An entry point whose every run has the section."""
    return Switch(lambda settings: True, (program,), without=without)
