"""Columns of text that fit a terminal."""

from __future__ import annotations

from dml.columns import WIDTH, aligned


def test_columns_that_do_not_fit_go_on_below_behind_the_same_titles():
    cells = [["", *(f"metric {number}" for number in range(20))], *([title, *["12.34"] * 20] for title in ("a", "bcd"))]
    said = aligned(cells)
    assert max(map(len, said.splitlines())) <= WIDTH
    blocks = said.split("\n\n")
    assert len(blocks) == 3
    assert " ".join(block.splitlines()[0] for block in blocks).split() == " ".join(cells[0]).split()
    for block in blocks:
        assert [line.split()[0] for line in block.splitlines()[2:]] == ["a", "bcd"]
        assert {len(line) for line in block.splitlines()} == {len(block.splitlines()[0])}


def test_what_fits_is_one_table():
    assert aligned([["", "R@1"], ["run", "5.00"]]) == "      R@1\n---------\nrun  5.00"


def test_a_column_wider_than_the_line_stands_alone():
    said = aligned([["run", "x" * 100, "y"], ["1", "2", "3"]], titles=1)
    assert len(said.split("\n\n")) == 2
