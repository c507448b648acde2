"""The command line of report.py: which runs, how they are grouped, what is shown of them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from dml.cli.outputs import require_writable, require_writable_file
from dml.cli.parser import Parser, place, spellings_of
from dml.config import OWN_SECTIONS, ROOT, SECTIONS
from dml.errors import UserError
from dml.report.runs import Run
from dml.report.summary import SPLITS
from dml.report.tables import FORMATS


@dataclass(frozen=True)
class ReportCommand:
    """A parsed command line of report.py; see the flags' help."""

    places: tuple[str, ...]
    wandb: str | None = None
    leave_out: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    split: str = "eval"
    format: str | None = None
    out: Path | None = None
    record: Path | None = None


def report_parser() -> Parser:
    """The parser of ``code/report.py``."""
    parser = Parser(
        prog="report.py",
        description="Tables over seeds, and pictures, of finished runs.",
        epilog="Runs that are damaged or unfinished are named and left out.",
    )
    logs = str(ROOT / "logs")
    parser.add_argument(
        "places",
        nargs="*",
        metavar="FOLDER",
        help=f"run folders, folders of them, or patterns in quotes; files of --record ({logs})",
    )
    parser.add_argument("--wandb", metavar="ENTITY/PROJECT", help="read the runs of a W&B project instead of folders")
    parser.add_argument(
        *spellings_of("leave_out"),
        nargs="+",
        metavar="FOLDER",
        help="run folders, folders of them, or patterns, to leave out; with --wandb names or ids of runs",
    )
    parser.add_argument(
        *spellings_of("group_by"),
        nargs="+",
        metavar="SETTING",
        help="settings such as loss or optim.lr that tell groups apart, beside their images (default: all but seed,"
        " name and places)",
    )
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help="e_recall@1, map_at_r, ... (default: all)")
    parser.add_argument(
        "--columns",
        nargs="+",
        metavar="NAME",
        help="what stands before the metrics, in this order, of settings that tell groups apart, epoch and n (default:"
        " all)",
    )
    parser.add_argument("--split", choices=SPLITS, help="test, held-out or training images (default: eval)")
    parser.add_argument(
        "--format", choices=list(FORMATS), help="of the table that is printed (default: text in a terminal, else md)"
    )
    parser.add_argument("--out", type=place, metavar="DIR", help="write tables in every format and the pictures there")
    parser.add_argument(
        "--record",
        type=place,
        metavar="FILE",
        help="add the runs that are not in it yet to a file of JSON lines, from which the same tables can be made",
    )
    return parser


def parse_report(arguments: Sequence[str] | None = None) -> ReportCommand:
    """Parse the command line; exits with status 2 and a message if it does not fit."""
    parser = report_parser()
    typed = parser.parse_typed(sys.argv[1:] if arguments is None else arguments)
    typed = {name: tuple(value) if isinstance(value, list) else value for name, value in typed.items()}
    places = typed.pop("places", ())
    if "wandb" in typed and places:
        parser.error("--wandb reads the runs of a project: leave out the folders")
    if "out" in typed:
        try:
            require_writable(typed["out"], flag="--out")
        except UserError as error:
            parser.error(str(error))
    if "record" in typed:
        try:
            require_writable_file(typed["record"], flag="--record")
        except UserError as error:
            parser.error(str(error))
    return ReportCommand(places or (str(ROOT / "logs"),), **typed)


def with_used_settings(runs: Sequence[Run]) -> list[Run]:
    """The runs without those settings of the shared sections that their entry points do not take, such as the size of
    a classifier's embedding."""
    return [run.without({f"{section}.{name}" for section in SECTIONS for name in _not_taken(run)}) for run in runs]


def _not_taken(run: Run) -> Collection[str]:
    own = {name.partition(".")[0] for name in run.config if "." in name}
    return frozenset().union(*(OWN_SECTIONS[name].switch.without for name in own if name in OWN_SECTIONS))
