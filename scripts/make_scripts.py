"""Write every script that trains from one table, scripts/commands.toml, fill the results tables of our pages, and write
the papers' figures for code/report.py.

python scripts/make_scripts.py

A figure measured later comes from results/rows.jsonl, which scripts/reproduce.sh adds runs to, or is added to the table
by hand, as ``measured`` of its script; this program only reads both.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import shlex
import statistics
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "code"))

import dml.packages  # noqa: E402, F401  # isort: skip

from dml.report.record import read_runs_of_record  # noqa: E402
from dml.report.runs import Run  # noqa: E402

RECORD = ROOT / "results" / "rows.jsonl"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
REPORTED = ROOT / "code" / "dml" / "report" / "reported.csv"
KEYS = {"MAP@R": "map_at_r", "NMI": "nmi", "RP": "r_precision", "top-1": "top_1"}
SECTIONS = {"train_target.py": "transfer", "main.py": "self_taught", "classify.py": "classification"}
"""The section of settings that an entry point's runs have and others have not."""
FIGURES = re.compile(r"\S+ \d[\d.]*( ± [\d.]+)?(, \S+ \d[\d.]*( ± [\d.]+)?)*")
TEMPLATE = """\
#!/usr/bin/env bash
# {heading}.
# Paper: {paper}.
{figures}
{notes}# Further flags are passed on, and win: scripts/{path}.sh {further}
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/{program}" \\
{flags} "$@"
"""


class TableError(ValueError):
    """A row of the table that cannot be read."""


@dataclass(frozen=True)
class Result:
    """Figures such as ``R@1 69.1, R@2 78.9``, each empty where there is none; ``how`` ours were measured."""

    reported: str = ""
    measured: str = ""
    measured_how: str = ""

    def __post_init__(self):
        for figures in (self.reported, self.measured):
            if figures and not FIGURES.fullmatch(figures):
                raise TableError(f'{figures!r}: figures look like "R@1 69.1, R@2 78.9"')
        if bool(self.measured) != bool(self.measured_how):
            raise TableError("measured and measured_how (epoch, seeds, device, revision) go together")

    def cells(self) -> tuple[str, str]:
        """What tables show of both: the first figure."""
        reported, measured = (text.split(", ")[0].partition(" ")[2] for text in (self.reported, self.measured))
        return reported or "–", measured or "not yet run"

    def figures(self) -> dict[str, str]:
        """Metric → what is reported."""
        return dict(figure.split(" ", 1) for figure in self.reported.split(", ") if figure)

    def lines(self, condition: str = "") -> list[str]:
        """What the header of the script says of both."""
        reported = f"{self.reported} (best epoch on the test split)" if self.reported else "none for this setting"
        lines = [f"Reported{condition}: {reported}."]
        return lines + [f"Measured{condition}: {self.measured} ({self.measured_how})."] * bool(self.measured)


@dataclass(frozen=True)
class Script:
    """A script: one row of the table with what it refers to.

    Attributes:
        path: ``folder/name``, without ending.
        title, network, dataset: of method, network (with embedding size and source network) and data set, for people.
        short: the data set's name in tables.
        program: in ``code/``.
        paper: authors, title, where, year.
        flags: ``--name value``, quoted for a shell.
        result: its figures.
        variants: further flags → figures with them.
        notes: lines of the header.
        further: flags that show how to add some.
    """

    path: str
    title: str
    network: str
    dataset: str
    short: str
    program: str
    paper: str
    flags: tuple[str, ...]
    result: Result
    variants: dict[str, Result]
    notes: tuple[str, ...]
    further: str

    def text(self) -> str:
        """The script."""
        figures = self.result.lines()
        for flags, result in self.variants.items():
            figures += result.lines(f" with {flags}")
        together = " ".join(flag.replace(" ", "\0") for flag in self.flags)  # a flag and its value stay on one line
        lines = textwrap.wrap(together, 112, break_long_words=False, break_on_hyphens=False)
        return TEMPLATE.format(
            heading=f"{self.title}, {self.network}, {self.dataset}",
            paper=self.paper,
            figures="\n".join(f"# {line}" for line in figures),
            notes="".join(f"# {line}\n" for line in self.notes),
            path=self.path,
            further=self.further,
            program=self.program,
            flags=" \\\n".join(f"    {line}" for line in lines).replace("\0", " "),
        )


def measured_rows(record: Path) -> dict[str, dict[str, str]]:
    """Path → ``measured`` and ``measured_how`` of the rows that ``scripts/reproduce.sh`` has run as they are: mean and
    sample standard deviation over seeds, in per cent, of R@1 or top-1 at each run's best epoch."""
    runs: dict[str, dict[int, Run]] = {}
    for run in read_runs_of_record(record) if record.is_file() else ():
        name, found, seed = Path(run.name).name.partition("__seed_")
        if found and "__changed_" not in seed and _first_metric(run) is not None:
            runs.setdefault(name.replace("__", "/"), {})[run.config.get("run.seed", 0)] = run
    return {path: _measured(list(of_seeds.values())) for path, of_seeds in runs.items()}


def _first_metric(run: Run) -> str | None:
    """What tables show of a run: R@1, of a classifier top-1; None where the test split was not looked at."""
    best = run.epochs.get(run.best_epoch, {}) if run.best_epoch is not None else {}
    return next((name for name in ("recall_at_1", "e_recall_at_1", "top_1") if f"eval/{name}" in best), None)


def _measured(runs: list[Run]) -> dict[str, str]:
    split = runs[0].select_metric.partition("/")[0]
    values = [100 * run.epochs[run.best_epoch or 0][f"eval/{_first_metric(run)}"] for run in runs]
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    chosen = "the test split" if split == "eval" else "held-out classes"
    how = f"best epoch on {chosen}, {len(values)} seed{'s' * (len(values) > 1)}, results/rows.jsonl"
    name = "top-1" if _first_metric(runs[0]) == "top_1" else "R@1"
    return {"measured": f"{name} {statistics.fmean(values):.2f}{spread}", "measured_how": how}


def read_table(file: Path = ROOT / "scripts" / "commands.toml", record: Path = RECORD) -> dict[str, Script]:
    """Path → script, for every row; what was measured is the table's, else the record's. Raises TableError for a row
    that does not fit."""
    table, measured = tomllib.loads(file.read_text()), measured_rows(record)
    scripts = {}
    for path, row in table["scripts"].items():
        try:
            scripts[path] = _script(path, measured.get(path, {}) | row, table)
        except KeyError as error:
            raise TableError(f"{path}: {error} is missing, or not in the table") from None
        except (TableError, TypeError) as error:
            raise TableError(f"{path}: {error}") from None
    return scripts


def _script(path: str, row: dict[str, Any], table: dict[str, Any]) -> Script:
    method = table["methods"][row["method"]]
    values = method | row
    network, dataset = table["networks"][values["network"]], table["datasets"][values["dataset"]]
    known = {"method", "dataset", "network", "size", "network_title", "source", "title", "paper", "program", "further"}
    figures = {"reported", "measured", "measured_how"}
    used = set(re.findall(r"\{(\w+)\}", method["flags"] + values["title"]))
    if unknown := values.keys() - known - figures - used - {"flags", "with", "notes"}:
        raise TableError(f"nothing uses {', '.join(sorted(unknown))}")
    names = dataset | values
    flags = f"{method['flags']} {row.get('flags', '')}".format(**names)
    title = values.get("network_title", network["title"])
    title += f", {values['size']}" if "size" in values else ""
    title += f" from {values['source']}" if "source" in values else ""
    notes = [*network.get("notes", ()), *method.get("notes", ()), *row.get("notes", ())]
    return Script(
        path=path,
        title=values["title"].format(**names),
        network=title,
        dataset=dataset["title"],
        short=dataset["short"],
        program=values["program"],
        paper=table["papers"][values["paper"]],
        flags=tuple(" ".join(flag.split()) for flag in re.split(r"\s+(?=--)", flags.strip())),
        result=Result(**{name: row[name] for name in figures & row.keys()}),
        variants={more: Result(**result) for more, result in row.get("with", {}).items()},
        notes=tuple(line for name in dict.fromkeys(notes) for line in table["notes"][name].strip().splitlines()),
        further=values.get("further", "--seed 2 --precision bf16-mixed"),
    )


def fill_tables(page: str, scripts: dict[str, Script]) -> str:
    """A page of Markdown with what the table knows in its tables of results.

    Those are the ones whose last column, "script", names scripts, with further flags where it is one of the variants.
    Columns "data set", "network" (not of a variant), "reported", "ours" and those headed by a metric are filled. Where
    scripts of several data sets share a line, a column headed by a data set holds what is reported for it, the column
    "ours" behind it what was measured.
    """
    columns: list[str] = []
    lines = page.splitlines(keepends=True)
    for number, line in enumerate(lines):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = cells
        elif columns[-1] == "script" and cells[-1].startswith("`"):
            filled = _fill(columns, cells, scripts)
            lines[number] = "|".join(["", *(f" {cell} " if cell else " " for cell in filled), "\n"])
    return "".join(lines)


def _fill(columns: list[str], cells: list[str], scripts: dict[str, Script]) -> list[str]:
    path, _, more = cells[-1].strip("`").partition(" ")
    name = path.removesuffix(".sh").removeprefix("scripts/")
    of_dataset = {script.short: script for script in scripts.values() if script.path.endswith(f"/{name}")}
    script = scripts.get(name)
    filled = []
    for column, cell in zip(columns, cells, strict=True):
        script = of_dataset.get(column, script)
        if script is not None:
            reported, measured = (script.variants[more] if more else script.result).cells()
            known = {"data set": script.short, "reported": reported, "ours": measured}
            known |= dict.fromkeys(of_dataset, reported)
            known |= {} if more else {"network": script.network, **script.result.figures()}
            cell = known.get(column, cell)
        filled.append(cell)
    return filled


def reported_table(scripts: dict[str, Script]) -> str:
    """What the papers report, a line for each figure: data set, loss, what it is combined with, network, embedding size
    (none of a classifier), metric as in a record, figure, paper."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["dataset", "loss", "with", "network", "embedding_size", "metric", "value", "paper"])
    for script in scripts.values():
        for more, result in {"": script.result, **script.variants}.items():
            what = _reported_of(script, more)
            for name, value in result.figures().items():
                key = KEYS.get(name) or f"recall_at_{name.removeprefix('R@')}"
                writer.writerow([*what, key, value, script.paper])
    return file.getvalue()


def _reported_of(script: Script, more: str) -> list[str]:
    """Data set, loss, what it is combined with, network and embedding size, as the run's configuration has them."""
    words = shlex.split(" ".join([*script.flags, more]))
    typed = {word: value for word, value in zip(words, [*words[1:], ""], strict=True) if word.startswith("--")}
    typed = {flag.replace("_", "-"): value for flag, value in typed.items()}
    network, size = typed.get("--model", typed.get("--arch", "")), typed.get("--embedding-size", "")
    if script.program == "classify.py":
        mix = typed.get("--mix", "none")
        loss = "introspective_" * ("--introspective" in typed) + "cross_entropy" + f"_{mix}" * (mix != "none")
        return [typed["--dataset"], loss, SECTIONS[script.program], network, ""]
    beside = [SECTIONS[script.program]] if script.program in SECTIONS else []
    beside += ["introspective", "mixup"] * ("--introspective" in typed)  # IDML mixes batches, too
    beside += ["memory"] * ("--enableMemory" in typed)
    if script.program == "main.py":  # what the paper calls GoogLeNet
        network = network.replace("googlenet", "inception_v1")
    return [typed["--dataset"], typed.get("--loss", "stml"), " ".join(beside), network, size]


def create_parser() -> argparse.ArgumentParser:
    """It takes no options."""
    return argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)


def main(argv: list[str] | None = None) -> int:
    """Write scripts, pages and figures; exit code 0, or 1 where the table does not fit."""
    create_parser().parse_args(argv)
    try:
        scripts = read_table()
    except TableError as error:
        print(f"scripts/commands.toml: {error}", file=sys.stderr)
        return 1
    for script in scripts.values():
        file = ROOT / "scripts" / f"{script.path}.sh"
        file.parent.mkdir(exist_ok=True)
        file.write_text(script.text())
        file.chmod(0o755)
    REPORTED.write_text(reported_table(scripts))
    for page in PAGES:
        page.write_text(fill_tables(page.read_text(), scripts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
