"""The command line of export.py: which network, in which formats, to which folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dml.cli.outputs import require_writable
from dml.cli.parser import Parser, place, spellings_of
from dml.errors import UserError

FORMATS = {
    "onnx": "model.onnx, for onnxruntime and whatever else reads ONNX",
    "torch_export": "model.pt2, for torch.export.load",
    "safetensors": "model.safetensors, the weights alone",
}


@dataclass(frozen=True)
class ExportCommand:
    """A parsed command line of export.py; see the flags' help."""

    ckpt: Path
    folder: Path
    formats: tuple[str, ...]
    images: tuple[Path, ...] = ()
    push: str | None = None


def export_parser() -> Parser:
    """The parser of ``code/export.py``."""
    parser = Parser(prog="export.py", description="Write a trained network for other programs.")
    parser.add_argument("folder", type=place, metavar="DIR", help="a new folder, in the layout of the Hugging Face hub")
    parser.add_argument(*spellings_of("ckpt"), type=place, metavar="FILE", help="the network; a run folder will do")
    for name, text in FORMATS.items():
        parser.add_argument(*spellings_of(name), dest=name, action="store_true", help=text)
    parser.add_argument(
        *spellings_of("images"),
        nargs="+",
        type=place,
        metavar="PLACE",
        help="photographs on which what is written is compared with ours (default: the run's own, else letters)",
    )
    parser.add_argument("--push", metavar="REPO", help="send the folder to the Hugging Face hub, OWNER/NAME")
    return parser


def parse_export(arguments: Sequence[str] | None = None) -> ExportCommand:
    """Parse the command line; exits with status 2 and a message if it does not fit."""
    parser = export_parser()
    typed = parser.parse_typed(sys.argv[1:] if arguments is None else arguments)
    formats = tuple(name for name in FORMATS if typed.pop(name, False))
    try:
        if "ckpt" not in typed:
            raise UserError("--ckpt is missing: a run folder or a checkpoint")
        if not formats:
            raise UserError("which format? --onnx, --torch-export, --safetensors, or several of them")
        if typed["folder"].exists():
            raise UserError(f"{typed['folder']} is there already: name another folder")
        require_writable(typed["folder"].absolute().parent, flag="DIR")
        typed["images"] = tuple(typed.get("images", ()))
        return ExportCommand(formats=formats, **typed)
    except UserError as error:
        parser.error(str(error))
