"""Rows of a summary as Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from dml.metric_names import is_share, label
from dml.registry import Registry
from dml.report.summary import Row, Statistic

NOTHING = "–"
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$"}
_LATEX |= {character: "\\" + character for character in "&%$#_{}"}


def markdown(rows: Sequence[Row], metrics: Sequence[str], *, caption: str) -> str:
    """A table as GitHub shows it, shares in per cent; the caption below."""
    lines = [[*_fields(rows), "epoch", "n", *map(_heading, metrics)]]
    lines += [[*_given(row), *(_cell(row, name, "{} ± {}") for name in metrics)] for row in rows]
    escaped = [[text.replace("|", "\\|").replace("\n", " ") for text in line] for line in lines]
    escaped.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped) + f"\n\n{caption}\n"


def latex(rows: Sequence[Row], metrics: Sequence[str], *, caption: str) -> str:
    """A table for the package booktabs, shares in per cent; a thin rule between groups."""
    headings = [*_fields(rows), "epoch", "n", *map(_heading, metrics)]
    columns = "l" * (len(headings) - len(metrics)) + "r" * len(metrics)
    body = [" & ".join(map(escape_latex, headings)) + r" \\", r"\midrule"]
    for index, row in enumerate(rows):
        if index and row.fields != rows[index - 1].fields:
            body.append(r"\addlinespace")
        cells = [*map(escape_latex, _given(row)), *(_cell(row, name, r"${} \pm {}$") for name in metrics)]
        body.append(" & ".join(cell.replace(NOTHING, "--") for cell in cells) + r" \\")
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def comma_separated(rows: Sequence[Row], metrics: Sequence[str], *, caption: str) -> str:
    """For programs: numbers as recorded, with all their digits, a column each for mean, deviation and count.

    The caption is left out, since programs read every line.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    parts = [f"{name}_{part}" for name in metrics for part in ("mean", "std", "n")]
    writer.writerow([*_fields(rows), "epoch", "epochs", "n", *parts])
    for row in rows:
        numbers: list[float | int | None] = []
        for name in metrics:
            found = row.metrics.get(name)
            numbers += [None, None, 0] if found is None else [found.mean, found.deviation, found.n]
        writer.writerow([*row.fields.values(), row.choice, " ".join(map(str, row.epochs)), row.n, *numbers])
    return file.getvalue()


FORMATS = Registry("format", {"md": markdown, "latex": latex, "csv": comma_separated})
SUFFIXES = {"md": ".md", "latex": ".tex", "csv": ".csv"}


def escape_latex(text: str) -> str:
    """``text`` so that LaTeX prints it as it stands."""
    return "".join(_LATEX.get(character, character) for character in text)


def _fields(rows: Sequence[Row]) -> list[str]:
    return list(rows[0].fields)


def _heading(metric: str) -> str:
    return f"{label(metric)} (%)" if is_share(metric) else label(metric)


def _given(row: Row) -> list[str]:
    """What stands before the metrics: the group, which epoch, how many runs."""
    if not row.epochs:
        return [*row.fields.values(), f"{row.choice} ({NOTHING})", str(row.n)]
    first, last = row.epochs[0], row.epochs[-1]
    epochs = str(first) if first == last else f"{first} to {last}"
    return [*row.fields.values(), f"{row.choice} ({epochs})", str(row.n)]


def _cell(row: Row, metric: str, with_deviation: str) -> str:
    found = row.metrics.get(metric)
    if found is None:
        return NOTHING
    text = _number(metric, found.mean) if found.deviation is None else _with_deviation(metric, found, with_deviation)
    return text if found.n == row.n else f"{text} (n={found.n})"


def _with_deviation(metric: str, found: Statistic, pattern: str) -> str:
    return pattern.replace("{}", _number(metric, found.mean), 1).replace("{}", _number(metric, found.deviation), 1)


def _number(metric: str, value: float) -> str:
    return f"{100 * value:.2f}" if is_share(metric) else f"{value:.4f}"
