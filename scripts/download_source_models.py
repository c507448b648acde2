"""Put the six published source networks of embedding transfer into ./pretrained_source, or those of one backbone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "code"))

import dml.packages  # noqa: E402, F401  # isort: skip

from dml.cli.parser import place  # noqa: E402
from dml.cli.plain_text import write_plainly  # noqa: E402
from dml.models.published_sources import ADDRESS, PUBLISHED_SOURCES, fetch_source  # noqa: E402


def create_parser() -> argparse.ArgumentParser:
    """The command line of this program."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", metavar="TEXT", default="", help="those with this in their path, such as resnet50")
    parser.add_argument("--folder", type=place, default=ROOT / "pretrained_source", help="where to put them")
    parser.add_argument("--address", default=ADDRESS, help="fetch from elsewhere; {id} stands for a file's id")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 1 if any of them could not be had, after trying all."""
    parser = create_parser()
    args = parser.parse_args(argv)
    chosen = [name for name in PUBLISHED_SOURCES if args.only in name]
    if not chosen:
        parser.error(f"--only {args.only} fits none of {', '.join(PUBLISHED_SOURCES)}")
    failed = 0
    for name in chosen:
        try:
            print(f"{args.folder / name}: {fetch_source(name, args.folder, address=args.address)}")
        except OSError as error:  # of the line, of the disk
            print(f"error: {error}", file=sys.stderr)
            failed += 1
        except KeyboardInterrupt:
            print("interrupted; run the command again to go on", file=sys.stderr)
            return 130
    return 1 if failed else 0


if __name__ == "__main__":
    write_plainly()
    sys.exit(main())
