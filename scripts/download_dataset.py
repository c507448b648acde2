"""Put a dataset into the data folder: python scripts/download_dataset.py cub [--data-dir ./data]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "code"))

import dml.packages  # noqa: E402, F401  # isort: skip

from dml.cli.parser import place  # noqa: E402
from dml.cli.plain_text import write_plainly  # noqa: E402
from dml.data import DatasetError  # noqa: E402
from dml.data.install import install  # noqa: E402
from dml.data.verify import EVERY_DATASET  # noqa: E402
from dml.registry import UnknownNameError  # noqa: E402


def create_parser() -> argparse.ArgumentParser:
    """The command line of this program."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("name", help=f"one of {', '.join(EVERY_DATASET)}")
    parser.add_argument("--data-dir", "--data_dir", type=place, default=ROOT / "data")
    parser.add_argument("--url", help="fetch from this mirror; what comes is checked by hash all the same")
    parser.add_argument(
        "--from", dest="files", type=place, nargs="+", default=[], metavar="FILE", help="use files you have"
    )
    parser.add_argument("--keep-archive", "--keep_archive", action="store_true", help="after unpacking")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, also where only the steps to take by hand are printed; 1 on failure."""
    args = create_parser().parse_args(argv)
    try:
        done = install(args.name, args.data_dir, url=args.url, files=args.files, keep_archive=args.keep_archive)
    except (UnknownNameError, DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the command again to go on", file=sys.stderr)
        return 130
    print(done)
    return 0


if __name__ == "__main__":
    write_plainly()
    sys.exit(main())
