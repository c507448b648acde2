"""The command line of compare.py: a plan, where it is kept, and who works on it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dml.cli.outputs import require_writable, require_writable_file
from dml.cli.parser import Parser, place, spellings_of
from dml.config import ROOT
from dml.errors import UserError
from dml.places import from_home
from dml.ranges import at_least


@dataclass(frozen=True)
class CompareCommand:
    """A parsed command line of compare.py; see the flags' help."""

    plan: Path
    out: Path
    jobs: int = 1
    status: bool = False
    submit: str | None = None
    slurm: tuple[str, ...] = ()
    no_wait: bool = False
    data_dir: Path | None = None
    weights: Path | None = None
    workers: int | None = None
    record: Path | None = None

    def words(self) -> list[str]:
        """Those that start one more process of the same comparison."""
        found = [str(self.plan.absolute()), "--out", str(self.out)]
        places = {"data-dir": self.data_dir, "weights": self.weights, "workers": self.workers, "record": self.record}
        for flag, value in places.items():
            found += [] if value is None else [f"--{flag}", str(value)]
        return found


def compare_parser() -> Parser:
    """The parser of ``code/compare.py``."""
    parser = Parser(
        prog="compare.py",
        description="Compare methods by one protocol: trials, k folds, seeds, one look at the test classes.",
        epilog="The same command goes on with what was stopped or killed, and several of them, on one machine or many,"
        " share the work.",
    )
    parser.add_argument("plan", type=place, metavar="PLAN", help="a TOML file, such as plans/glyphs.toml")
    parser.add_argument("--out", type=place, metavar="DIR", help="the comparison's folder (logs/compare/<plan>)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes that work on it (default 1)")
    parser.add_argument("--status", action="store_true", help="say what is done and what is left, and end")
    parser.add_argument("--submit", choices=["slurm"], help="queue --jobs jobs that work on it, and end")
    parser.add_argument(
        "--slurm",
        nargs="+",
        metavar="KEY=VALUE",
        help="with --submit slurm, what sbatch is told of each job: time=240 (minutes) gpus_per_node=1 partition=gpu …",
    )
    parser.add_argument(
        *spellings_of("no_wait"),
        action="store_true",
        help="end when other processes do all that is left, in place of waiting for the report",
    )
    parser.add_argument(*spellings_of("data_dir"), type=place, metavar="DIR", help="of every run, its --data-dir")
    parser.add_argument(
        "--weights", type=place, metavar="FILE", help="of every run, its --weights: pretrained ones of the network"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="of every run, its data loading processes")
    parser.add_argument(
        "--record",
        type=place,
        metavar="FILE",
        help="a file of JSON lines that what runs came to is added to; what is in it is not run again, on any machine",
    )
    parser.declare("jobs", within=at_least(1))
    parser.declare("workers", within=at_least(0))
    return parser


def parse_compare(arguments: Sequence[str] | None = None) -> CompareCommand:
    """Parse the command line; exits with status 2 and a message if it does not fit."""
    parser = compare_parser()
    typed = parser.parse_typed(sys.argv[1:] if arguments is None else arguments)
    try:
        return _command(typed)
    except UserError as error:
        parser.error(str(error))


def _command(typed: dict) -> CompareCommand:
    if "slurm" in typed and "submit" not in typed:
        raise UserError("--slurm says how jobs are submitted: add --submit slurm")
    if bad := [word for word in typed.get("slurm", ()) if "=" not in word]:
        raise UserError(f"--slurm {bad[0]}: reads KEY=VALUE, such as time=240")
    for name, is_there in (("data_dir", Path.is_dir), ("weights", Path.is_file)):
        if name in typed:
            typed[name] = from_home(typed[name]).absolute()
            if not is_there(typed[name]):
                raise UserError(f"--{name.replace('_', '-')} {typed[name]}: is not there")
    out = from_home(typed.pop("out", ROOT / "logs" / "compare" / typed["plan"].stem)).absolute()
    require_writable(out, flag="--out")
    if "record" in typed:
        typed["record"] = from_home(typed["record"]).absolute()
        require_writable_file(typed["record"], flag="--record")
    typed["slurm"] = tuple(typed.get("slurm", ()))
    return CompareCommand(**typed | {"out": out})
