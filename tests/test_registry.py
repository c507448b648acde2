"""Names, aliases, and the message for an unknown one."""

from __future__ import annotations

import pytest

from dml.registry import Registry, UnknownNameError

COLOURS = Registry("colour", {"red": 1, "blue": 2}, {"Rot": "red"})


def test_look_up_by_name_and_alias():
    assert (COLOURS["red"], COLOURS["Rot"], COLOURS.canonical("Rot")) == (1, 1, "red")
    assert "Rot" in COLOURS
    assert list(COLOURS) == ["red", "blue"]
    assert len(COLOURS) == 2


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"unknown colour 'bleu'\. Did you mean 'blue'\? Valid: red, blue, Rot"):
        COLOURS["bleu"]


@pytest.mark.parametrize("aliases", [{"red": "blue"}, {"Grün": "green"}])
def test_bad_aliases(aliases):
    with pytest.raises(ValueError, match="hides an entry or points nowhere"):
        Registry("colour", {"red": 1, "blue": 2}, aliases)


def test_entries_are_spelled_as_people_know_them():
    registry = Registry("loss", {"triplet_squared": 1, "softtriple": 2}, {"triplet": "triplet_squared"})
    assert [registry.spelling(name) for name in registry] == ["triplet", "softtriple"]
