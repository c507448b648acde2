"""What a comparison came to: a table, differences, the settings that were best; as Markdown and for a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dml.columns import WIDTH, aligned
from dml.compare.plan import Plan
from dml.compare.results import DIVERGED, PRUNED, Result, is_number
from dml.compare.state import MethodState
from dml.compare.statistics import Difference, Estimate, compare
from dml.metric_names import is_share, label, metric_key, metric_of
from dml.writing import write_text_atomically

VALIDATION, SINGLE, TOGETHER = "validation", "test", "test, concatenated"
COLUMNS = (VALIDATION, SINGLE, TOGETHER)
Values = dict[str, dict[str, dict[tuple[int, ...], float]]]
"""Column → method → (seed, fold), or (seed,) of embeddings of all folds → figure."""


@dataclass(frozen=True)
class Report:
    """A comparison as texts.

    Attributes:
        text: for a terminal, of 80 columns.
        markdown: the same, and more.
        csv: every figure, a line each.
    """

    text: str
    markdown: str
    csv: str


def values_of(plan: Plan, states: Sequence[MethodState], metric: str) -> Values:
    """The figures of a metric of all final runs that did not diverge."""
    found: Values = {column: {state.method.name: {} for state in states} for column in COLUMNS}
    for state in states:
        name = state.method.name
        for seed, runs in state.seeds.items():
            found[VALIDATION][name] |= _best_of({seed: runs.results}, metric)
            if runs.judged is not None:
                for fold, metrics in enumerate(runs.judged.single, start=1):
                    found[SINGLE][name][seed, fold] = metrics[metric]
                found[TOGETHER][name][seed,] = runs.judged.concatenated[metric]
        if state.chosen is not None and plan.protocol.final == "all":  # final runs hold out nothing
            found[VALIDATION][name] = _best_of({plan.protocol.search_seed: state.chosen.results}, metric)
    if plan.protocol.final == "all":
        del found[TOGETHER]
    return found


def _best_of(results: Mapping[int, Sequence[Result | None]], metric: str) -> dict[tuple[int, ...], float]:
    """(seed, fold) → figure on held-out classes at the best epoch, of the runs that have one."""
    return {
        (seed, fold): result.best[metric]
        for seed, of_folds in results.items()
        for fold, result in enumerate(of_folds, start=1)
        if result is not None and result.state != DIVERGED and is_number(result.best.get(metric))
    }


def report(plan: Plan, states: Sequence[MethodState]) -> Report:
    """Everything that is known of a comparison, whether it is finished or not."""
    plain, marked = [_caption(plan, best="*")], [f"# {plan.file.stem}", _caption(plan, best="bold")]
    lines = ["metric,column,method,seed,fold,value"]
    for metric in map(metric_key, plan.protocol.report):
        values = values_of(plan, states, metric)
        rows = _rows(values, metric)
        unit = ", in per cent" if is_share(metric) else ""
        plain.append(f"{label(metric)}{unit}\n{aligned(rows, left=True)}")
        marked.append(f"## {label(metric)}{unit}\n\n{_piped(rows)}")
        for column in (SINGLE, TOGETHER):
            if column in values and (differences := compare(values[column])):
                said = [_difference(d, metric) for d in differences]
                marked.append(f"Differences, {column}:\n\n" + "\n".join(f"* {text}" for text in said))
                if column == SINGLE:
                    plain.append("\n".join(["differences, test:", *(f"  {text}" for text in said)]))
        lines += _csv(values, metric)
    settings = _settings(plan, states)
    plain.append("\n".join(["best settings:", *(f"  {text}" for text in settings)]))
    marked.append("## Settings\n\n" + "\n".join(f"* {text}" for text in settings))
    if commands := list(_commands(states)):
        first = "The final runs of the first seed, without places (`--data-dir`, `--weights`)"
        marked.append(f"## Commands\n\n{first}:\n\n```\n" + "\n".join(commands) + "\n```")
    effort = _effort(plan, states)
    plain.append(effort)
    marked.append(effort)
    return Report("\n\n".join(map(_folded, plain)), "\n\n".join(marked) + "\n", "\n".join(lines) + "\n")


def write_report(out: Path, plan: Plan, states: Sequence[MethodState]) -> Report:
    """``report.md``, ``report.csv``, ``bars.png`` and a copy of the plan in the comparison's folder."""
    from dml.compare.picture import draw_bars

    made = report(plan, states)
    write_text_atomically(made.markdown, out / "report.md")
    write_text_atomically(made.csv, out / "report.csv")
    write_text_atomically(plan.file.read_text(encoding="utf-8"), out / "plan.toml")
    metrics = [metric_key(name) for name in plan.protocol.report]
    draw_bars({metric: estimates(values_of(plan, states, metric)) for metric in metrics}, out / "bars.png")
    return made


def estimates(values: Values) -> dict[str, dict[str, Estimate | None]]:
    """Column → method → mean and interval."""
    return {
        column: {name: Estimate.of(list(of_method.values())) for name, of_method in methods.items()}
        for column, methods in values.items()
    }


def _rows(values: Values, metric: str) -> list[list[str]]:
    """The table with its head; the best mean of each column has a star."""
    found = estimates(values)
    methods, columns = list(values[VALIDATION]), list(values)
    sign = -1 if metric_of(metric).lower_is_better else 1
    best = {
        column: max((sign * e.mean for e in of_methods.values() if e is not None), default=None)
        for column, of_methods in found.items()
    }
    rows = [["method", *columns]]
    for name in methods:
        cells = [name]
        for column in columns:
            estimate = found[column][name]
            cells.append(_cell(estimate, metric, starred=estimate is not None and sign * estimate.mean == best[column]))
        rows.append(cells)
    return rows


def _cell(estimate: Estimate | None, metric: str, *, starred: bool) -> str:
    if estimate is None:
        return "–"
    spread = "" if estimate.half_width is None else f" ± {_number(estimate.half_width, metric)}"
    return f"{_number(estimate.mean, metric)}{spread}{' *' if starred else ''}"


def _number(value: float, metric: str, sign: str = "") -> str:
    text = f"{100 * value:{sign}.2f}" if is_share(metric) else f"{value:{sign}.4f}"
    return text.replace("-", "−")


def _difference(found: Difference, metric: str) -> str:
    spread = "" if found.estimate.half_width is None else f" ± {_number(found.estimate.half_width, metric)}"
    p = "" if found.corrected is None else f", p = {found.corrected:.2g}{' *' if found.is_significant else ''}"
    return f"{found.first} − {found.second}: {_number(found.estimate.mean, metric, '+')}{spread}{p}"


def _caption(plan: Plan, *, best: str) -> str:
    protocol, budget = plan.protocol, plan.budget
    seeds = f"{len(protocol.seeds)} {'seed' if len(protocol.seeds) == 1 else 'seeds'}"
    every = "every fold" if not protocol.search_folds else f"the first {protocol.search_folds} of the folds"
    searched = (
        f"{protocol.folds}-fold cross-validation over training classes; {budget.trials} trials of a method, each on"
        f" {every}, {budget.epochs} epochs; the best by {label(metric_key(protocol.select_metric))} on held-out"
        f" classes, trained with {seeds} on"
    )
    ended = (
        f" ± is the 95 % confidence interval by Student's t, {best} the best of a column. Differences are of runs with"
        " the same seed and fold, p by the paired t-test after Holm's correction, * below 0.05."
    )
    if protocol.final == "all":
        return (
            f"{searched} all training classes, the last epoch looked at once on the test classes. {VALIDATION}: of the"
            f" best trial; {SINGLE}: mean over {seeds}.{ended}"
        )
    return (
        f"{searched} each fold, then looked at once on the test classes. {VALIDATION}, {SINGLE}: mean over"
        f" {len(protocol.seeds) * protocol.folds} runs; {TOGETHER}: over {seeds}, of the embeddings of all folds side"
        f" by side.{ended}"
    )


def _settings(plan: Plan, states: Sequence[MethodState]) -> list[str]:
    said = []
    for state in states:
        words = " ".join(f"{name}={value}" for name, value in (state.best or {}).items())
        if state.best is None:
            words = "no trial trained to the end" if state.is_searched else "the search goes on"
        folds = plan.protocol.folds_of_trial
        ended = [trial.results[-1].state for trial in state.trials if trial.has_ended(folds)]
        pruned, diverged = ended.count(PRUNED), ended.count(DIVERGED)
        counts = f" ({len(ended)} trials, {pruned} pruned, {diverged} diverged)" if state.trials else ""
        runs = [result for seed in state.seeds.values() for result in seed.results if result is not None]
        lost = sum(result.state == DIVERGED for result in runs)
        warned = f"; {lost} of {len(runs)} final runs diverged and are left out" if lost else ""
        said.append(f"{state.method.name}: {words or 'as the plan has them'}{counts}{warned}")
    return said


def _commands(states: Sequence[MethodState]) -> Iterator[str]:
    """The command lines of the final runs of the first seed, each with its name; of a source's network the name."""
    for state in states:
        for command in next(iter(state.seeds.values())).commands if state.seeds else ():
            source = () if command.source is None else (command.source[0], f"{command.source[1].name}/best.pt")
            yield shlex.join(["python", f"code/{command.program}", *command.words, *source, "--run-name", command.name])


def _effort(plan: Plan, states: Sequence[MethodState]) -> str:
    results: list[Result] = []
    for state in states:
        results += [result for trial in state.trials for result in trial.results]
        results += [result for seed in state.seeds.values() for result in seed.results if result is not None]
    hours = sum(result.seconds for result in results) / 3600
    spent = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
    return f"{len(results)} runs, {spent} of training and evaluation."


def _csv(values: Values, metric: str) -> list[str]:
    return [
        f"{metric},{column.replace(', ', ' ')},{name},{key[0]},{key[1] if len(key) > 1 else ''},{value!r}"
        for column, methods in values.items()
        for name, of_method in methods.items()
        for key, value in of_method.items()
    ]


def _piped(rows: Sequence[Sequence[str]]) -> str:
    bold = [[f"**{cell.removesuffix(' *')}**" if cell.endswith(" *") else cell for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in bold]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _folded(text: str) -> str:
    """Lines of at most 80 columns."""
    import textwrap

    wrap: Callable[[str], list[str]] = lambda line: textwrap.wrap(line, WIDTH, subsequent_indent="    ") or [""]  # noqa: E731
    return "\n".join(part for line in text.splitlines() for part in ([line] if len(line) <= WIDTH else wrap(line)))
