"""Check on a GPU that all is right, and how fast it is, in less than a quarter of an hour.

    scripts/gpu_check.sh pack ARCHIVE --data DIR --weights FILE      one archive for a machine without a network
    scripts/gpu_check.sh run RESULTS [STAGE …] [--device cpu]        there, in the folder that it unpacks to

Exit code 1 if a step failed or a limit was missed; what was measured is written all the same.
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
from dml.errors import UserError  # noqa: E402
from gpu_checks.running import run  # noqa: E402
from gpu_checks.stages import MOST_BYTES, STAGES  # noqa: E402

SECONDS = 840.0


def create_parser() -> argparse.ArgumentParser:
    """The command line of this program."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    packing = actions.add_parser("pack", help="make the archive", allow_abbrev=False)
    packing.add_argument("archive", type=place, metavar="ARCHIVE", help=f"at most {MOST_BYTES // 2**20} MiB")
    packing.add_argument(
        "--data", type=place, required=True, metavar="DIR", help="Cars-196, as --dataset cars takes it"
    )
    packing.add_argument("--weights", type=place, required=True, metavar="FILE", help="of mobilenet_v2, from ImageNet")
    running = actions.add_parser("run", help="run the stages and write a folder of results", allow_abbrev=False)
    running.add_argument("results", type=place, metavar="RESULTS", help="a folder; made anew")
    running.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(STAGES)}; default: all")
    running.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: small sizes, to rehearse")
    running.add_argument("--seconds", type=float, default=SECONDS, help=f"of all stages together ({SECONDS:.0f})")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 1 if a step failed, and 2 for a mistake in the command."""
    args = create_parser().parse_args(argv)
    try:
        if args.action == "pack":
            # Here, for a machine that lacks packages finds them in the archive.
            from gpu_checks.packing import pack

            print(pack(args.archive, args.data, args.weights))
            return 0
        return run(args.results, args.stages, device=args.device, seconds=args.seconds)
    except (UserError, OSError) as error:
        print(f"gpu_check: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    write_plainly()
    sys.exit(main())
