"""Check that a dataset is whole: python scripts/verify_dataset.py cub [--data-dir ./data] [--images]

Your own images, and what to run with them next: python scripts/verify_dataset.py folder --data-dir photos --images
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "code"))

import dml.packages  # noqa: E402, F401  # isort: skip

from dml.cli.parser import place  # noqa: E402
from dml.cli.plain_text import write_plainly  # noqa: E402
from dml.data.verify import EVERY_DATASET, verify  # noqa: E402
from dml.registry import UnknownNameError  # noqa: E402


def create_parser() -> argparse.ArgumentParser:
    """The command line of this program."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help=f"one of {', '.join(EVERY_DATASET)}")
    parser.add_argument("--data-dir", "--data_dir", type=place, default=ROOT / "data")
    parser.add_argument("--images", action="store_true", help="open every image, too")
    parser.add_argument(
        *("--move-unreadable", "--move_unreadable"),
        type=Path,
        metavar="DIR",
        help="of your own images move the unreadable ones there, with their paths; opens every image",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 if nothing is wrong, else 1."""
    args = create_parser().parse_args(argv)
    try:
        report = verify(args.name, args.data_dir, open_images=args.images, move_unreadable=args.move_unreadable)
    except (UnknownNameError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for line in report.summary:
        print(line)
    for line in report.notes:
        print(f"note: {line}")
    for line in report.problems:
        print(f"problem: {line}")
    print(f"{len(report.problems)} problem(s) found" if report.problems else "all is well")
    if report.next_command:
        print(f"next: {report.next_command}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    write_plainly()
    sys.exit(main())
