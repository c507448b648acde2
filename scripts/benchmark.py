"""Measure what must be fast or small, each thing against its yardstick in the same run.

    python scripts/benchmark.py [NAME …] [--json FILE] [--compare FILE] [--full] [--threads N] [--device cpu]

Prints a table; exit code 1 if a row misses its limit. Without names all benchmarks run.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "code"))

import dml.packages  # noqa: E402, F401  # isort: skip

import torch  # noqa: E402

from benchmarks import BENCHMARKS  # noqa: E402
from benchmarks.measure import Options, Row  # noqa: E402
from dml.cli.parser import place  # noqa: E402
from dml.cli.plain_text import write_plainly  # noqa: E402
from dml.registry import UnknownNameError  # noqa: E402

TABLE_HEAD = ("name", "value", "unit", "yardstick", "ratio", "limit", "ok", "before")


def create_parser() -> argparse.ArgumentParser:
    """The command line of this program."""
    parser = argparse.ArgumentParser(description="Measure speed and memory against yardsticks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--json", type=place, metavar="FILE", help="also write the rows to FILE")
    parser.add_argument("--compare", type=place, metavar="FILE", help="also show what an earlier --json FILE has")
    parser.add_argument("--full", action="store_true", help="also the rows that take long")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--device", type=device, default=torch.device("cpu"), help="default: cpu")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, or 1 if a row misses its limit."""
    parser = create_parser()
    args = parser.parse_args(argv)
    if args.threads < 1:
        parser.error(f"--threads must be at least 1, got {args.threads}")
    if args.json and not args.json.absolute().parent.is_dir():
        parser.error(f"--json {args.json}: there is no such folder")
    try:
        before = {} if args.compare is None else earlier(args.compare)
    except (OSError, ValueError, TypeError, KeyError):
        parser.error(f"--compare {args.compare}: no file of an earlier --json can be read there")
    try:
        names = [BENCHMARKS.canonical(name) for name in args.names or BENCHMARKS]
    except UnknownNameError as error:
        parser.error(str(error))
    torch.set_num_threads(args.threads)
    options = Options(device=args.device, threads=args.threads, full=args.full)
    rows = []
    print(table_line(TABLE_HEAD), flush=True)
    for name in names:
        for row in BENCHMARKS[name](options):
            print(table_line((*cells(row), before.get(row.name, "–"))), flush=True)
            rows.append(row)
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0 if all(row.ok for row in rows) else 1


def earlier(path: Path) -> dict[str, str]:
    """Name → value of the rows of an earlier run. Errors of many kinds if the file is not such."""
    return {row["name"]: f"{float(row['value']):.4g}" for row in json.loads(path.read_text())}


def device(text: str) -> torch.device:
    """The type of ``--device``."""
    try:
        return torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(str(error).splitlines()[0]) from error


def cells(row: Row) -> tuple[str, ...]:
    """What the table shows of a row."""
    numbers = (f"{x:.4g}" if x is not None else "–" for x in (row.yardstick, row.ratio, row.limit))
    return (row.name, f"{row.value:.4g}", row.unit, *numbers, "yes" if row.ok else "NO")


def table_line(texts: tuple[str, ...]) -> str:
    """One line of the table; the name stands left, the rest right."""
    name, *others = texts
    return f"{name:<48}" + "".join(f"{text:>12}" for text in others)


if __name__ == "__main__":
    write_plainly()
    sys.exit(main())
