"""Rows of a summary as text, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dml.columns import WIDTH, aligned
from dml.errors import UserError
from dml.metric_names import is_share, label
from dml.registry import Registry
from dml.report.marks import BEST, CLOSE, marks_of
from dml.report.summary import Row, Statistic

NOTHING = "–"
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$"}
_LATEX |= {character: "\\" + character for character in "&%$#_{}"}
_MARKDOWN = {None: "{}", BEST: "**{}**", CLOSE: "<u>{}</u>"}
_TEXT = {None: "{}  ", BEST: "{} *", CLOSE: "{} ~"}
# The mean alone: the sign of what follows would be bold, too.
_TEX = {None: "{}", BEST: r"\mathbf{{}}", CLOSE: r"\underline{{}}"}


def text(rows: Sequence[Row], metrics: Sequence[str], *, caption: str, columns: Sequence[str] = ()) -> str:
    """Aligned columns in the 80 characters of a terminal: those that do not fit stand below."""
    marks, given = marks_of(rows, metrics), _given(_shown_columns(rows), columns)
    shown = _with_reported(rows, metrics)
    cells = [[*given.headings, *(f"{_heading(*column)}  " for column in shown)]]
    for place, row in enumerate(rows):
        cells.append([*given.cells(place), *_numbers(row, shown, _TEXT, marks, place)])
    said = textwrap.fill(_with_marks(caption, marks, "*", "~"), WIDTH)
    return f"{aligned(cells, titles=len(given.headings))}\n\n{said}\n"


def markdown(rows: Sequence[Row], metrics: Sequence[str], *, caption: str, columns: Sequence[str] = ()) -> str:
    """A table as GitHub shows it, shares in per cent; the caption below."""
    marks, given = marks_of(rows, metrics), _given(_shown_columns(rows), columns)
    shown = _with_reported(rows, metrics)
    lines = [[*given.headings, *(_heading(*column) for column in shown)]]
    for place, row in enumerate(rows):
        lines.append([*given.cells(place), *_numbers(row, shown, _MARKDOWN, marks, place)])
    escaped = [[text.replace("|", "\\|").replace("\n", " ") for text in line] for line in lines]
    escaped.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped) + f"\n\n{_with_marks(caption, marks)}\n"


def latex(rows: Sequence[Row], metrics: Sequence[str], *, caption: str, columns: Sequence[str] = ()) -> str:
    """A table for the packages booktabs and adjustbox, no wider than its page, shares in per cent; a thin rule between
    groups."""
    marks, given = marks_of(rows, metrics), _given(_shown_columns(rows), columns)
    shown = _with_reported(rows, metrics)
    headings = [*given.headings, *(_heading(*column) for column in shown)]
    alignment = "l" * len(given.headings) + "r" * len(shown)
    body = [" & ".join(map(escape_latex, headings)) + r" \\", r"\midrule"]
    for place, row in enumerate(rows):
        if place and row.fields != rows[place - 1].fields:
            body.append(r"\addlinespace")
        cells = [*map(escape_latex, given.cells(place))]
        for name, reported in shown:
            if reported:
                cells.append(_reported(row, name))
                continue
            mean = _TEX[marks.get((place, name))]
            cells.append(_cell(row, name, f"${mean} \\pm {{}}$", alone=f"${mean}$" if (place, name) in marks else "{}"))
        body.append(" & ".join(cell.replace(NOTHING, "--") for cell in cells) + r" \\")
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,adjustbox}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(_with_marks(caption, marks))}}}",
            r"\begin{adjustbox}{max width=\linewidth}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{adjustbox}",
            r"\end{table}",
            "",
        ]
    )


def comma_separated(rows: Sequence[Row], metrics: Sequence[str], *, caption: str, columns: Sequence[str] = ()) -> str:
    """For programs: numbers as recorded, with all their digits, a column each for mean, deviation and count.

    The caption is left out, since programs read every line.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    shown = _with_reported(rows, metrics)
    parts = [f"{name}_{part}" for name, more in shown for part in (("reported",) if more else ("mean", "std", "n"))]
    given = _given(_plain_columns(rows), columns)
    writer.writerow([*given.headings, *parts])
    for place, row in enumerate(rows):
        numbers: list[float | int | None] = []
        for name, reported in shown:
            if reported:
                numbers.append(row.reported.get(name))
                continue
            found = row.metrics.get(name)
            numbers += [None, None, 0] if found is None else [found.mean, found.deviation, found.n]
        writer.writerow([*given.cells(place), *numbers])
    return file.getvalue()


FORMATS = Registry("format", {"text": text, "md": markdown, "latex": latex, "csv": comma_separated})
SUFFIXES = {"md": ".md", "latex": ".tex", "csv": ".csv"}


def escape_latex(text: str) -> str:
    """``text`` so that LaTeX prints it as it stands."""
    return "".join(_LATEX.get(character, character) for character in text)


def _with_marks(caption: str, marks: object, best: str = "bold", close: str = "underlined") -> str:
    """The caption, and how it is marked what is the best, if anything is."""
    return (
        f"{caption} The best mean is {best}, what lies within its 95 % confidence interval {close}."
        if marks
        else caption
    )


@dataclass(frozen=True)
class _Given:
    """What stands before the metrics: headings, and a cell for each row below each."""

    columns: list[tuple[str, list[str]]]

    @property
    def headings(self) -> list[str]:
        return [heading for heading, _ in self.columns]

    def cells(self, place: int) -> list[str]:
        return [cells[place] for _, cells in self.columns]


def _given(columns: Sequence[tuple[str, list[str]]], chosen: Sequence[str]) -> _Given:
    """The ``chosen`` ones, in that order, or all. UserError for one that there is not."""
    by_name = dict(reversed(columns))  # of two of one name the first
    for name in chosen:
        if name not in by_name:
            raise UserError(f"--columns {name}: there is none; there are {', '.join(dict(columns))}")
    return _Given([(name, by_name[name]) for name in chosen] or list(columns))


def _shown_columns(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """The group, which epoch, how many runs."""
    return [*_named(rows), ("epoch", [_epoch(row) for row in rows]), ("n", [str(row.n) for row in rows])]


def _plain_columns(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """The same for programs."""
    every = [" ".join(map(str, row.epochs)) for row in rows]
    epochs = [("epoch", [row.choice for row in rows]), ("epochs", every)]
    return [*_named(rows), *epochs, ("n", [str(row.n) for row in rows])]


def _named(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    return [(name, [row.fields[name] for row in rows]) for name in rows[0].fields]


def _epoch(row: Row) -> str:
    if not row.choice:
        return NOTHING
    if not row.epochs:
        return f"{row.choice} ({NOTHING})"
    first, last = row.epochs[0], row.epochs[-1]
    return f"{row.choice} ({first if first == last else f'{first} to {last}'})"


def _with_reported(rows: Sequence[Row], metrics: Sequence[str]) -> list[tuple[str, bool]]:
    """A column for each metric, and behind it one for what papers report of it, where they do of any row."""
    return [
        (name, reported)
        for name in metrics
        for reported in (False, True)
        if not reported or any(name in row.reported for row in rows)
    ]


def _heading(metric: str, reported: bool = False) -> str:
    named = f"{label(metric)} reported" if reported else label(metric)
    return f"{named} (%)" if is_share(metric) else named


def _numbers(
    row: Row,
    shown: Sequence[tuple[str, bool]],
    patterns: Mapping[str | None, str],
    marks: Mapping[tuple[int, str], str],
    place: int,
) -> list[str]:
    """The cells of the columns of ``_with_reported``, marked by ``patterns``."""
    return [
        patterns[None].format(_reported(row, name))
        if reported
        else patterns[marks.get((place, name))].format(_cell(row, name, "{} ± {}"))
        for name, reported in shown
    ]


def _reported(row: Row, metric: str) -> str:
    return _number(metric, row.reported[metric]) if metric in row.reported else NOTHING


def _cell(row: Row, metric: str, with_deviation: str, alone: str = "{}") -> str:
    found = row.metrics.get(metric)
    if found is None:
        return NOTHING
    if found.deviation is None:
        text = alone.replace("{}", _number(metric, found.mean))
    else:
        text = _with_deviation(metric, found, with_deviation)
    return text if found.n == row.n else f"{text} (n={found.n})"


def _with_deviation(metric: str, found: Statistic, pattern: str) -> str:
    return pattern.replace("{}", _number(metric, found.mean), 1).replace("{}", _number(metric, found.deviation), 1)


def _number(metric: str, value: float) -> str:
    return f"{100 * value:.2f}" if is_share(metric) else f"{value:.4f}"
