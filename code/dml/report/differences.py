"""What groups differ in beyond the few settings that name them."""

from __future__ import annotations

from collections.abc import Sequence

from dml.report.groups import CHANGES_NOTHING, Group, settings_of, short_names, text_of

MOST_NAMED = 8


def unsaid_differences(groups: Sequence[Group]) -> list[str]:
    """A sentence on the settings that differ inside a group, where ``--group-by`` put unlike runs together, and one
    on those that differ between groups and are not among their fields; none where nothing does."""
    inside, between = [], []
    for name in settings_of([run for group in groups for run in group.runs]):
        if name in CHANGES_NOTHING:
            continue
        values = [{text_of(run.config.get(name)) for run in group.runs} for group in groups]
        if any(len(found) > 1 for found in values):
            inside.append(name)
        elif len(set.union(*values)) > 1 and not _is_said(name, values, groups):
            between.append(name)
    sentences = []
    if inside:
        sentences.append(f"Runs of one group differ in {_listed(inside)}.")
    if between:
        sentences.append(f"The groups also differ in {_listed(between)}.")
    return sentences


def _is_said(name: str, values: Sequence[set[str]], groups: Sequence[Group]) -> bool:
    """Whether a field of that name, with its section or without, has each group's value."""
    return any(
        all({group.fields.get(word)} == found for group, found in zip(groups, values, strict=True))
        for word in (name, name.rpartition(".")[2])
    )


def _listed(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    words, more = short_names(names)[:MOST_NAMED], len(names) - MOST_NAMED
    return ", ".join(words) + (f" and {more} more setting{'s' * (more > 1)}" if more > 0 else "")
