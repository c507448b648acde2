"""The command line of search.py: what to do with which index."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dml.cli.outputs import require_writable, require_writable_file
from dml.cli.parser import Parser, place, spellings_of
from dml.conditions import flag_of
from dml.errors import UserError
from dml.ranges import at_least, between
from dml.search.engines import NAMES as ENGINES
from dml.search.engines import EngineSettings

OUTPUTS = ("html", "json")


@dataclass(frozen=True)
class SearchCommand:
    """A parsed command line of search.py; see the flags' help.

    Attributes:
        action: of ``ACTIONS``; what follows is None, or empty, where it has no meaning.
    """

    action: str
    index: Path | None = None
    places: tuple[Path, ...] = ()
    ckpt: Path | None = None
    photos: tuple[Path, ...] = ()
    out: Path | None = None
    engine: EngineSettings = field(default_factory=EngineSettings)
    precision: float = 0.95
    held_out: tuple[Path, ...] = ()
    label: str | None = None
    gone: bool = False
    top: int = 5
    similarity: float = 0.98
    html: Path | None = None
    json: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000


def _takes_index(parser: Parser) -> None:
    parser.add_argument("index", type=place, metavar="INDEX", help="the folder of the index")


def _takes_checkpoint(parser: Parser, text: str = "where the index's network is now, if it has moved") -> None:
    parser.add_argument(*spellings_of("ckpt"), type=place, metavar="FILE", help=f"{text}; a run folder will do")


def _takes_precision(parser: Parser) -> None:
    parser.add_argument(
        *spellings_of("precision"),
        type=float,
        metavar="SHARE",
        help="how many of the names that are said shall be right; the rest is called unknown (default: 0.95)",
    )
    parser.declare("precision", within=between(0, 1, without="low"))


def _writes(parser: Parser) -> None:
    parser.add_argument("--html", type=place, metavar="FILE", help="write a page with pictures")
    parser.add_argument("--json", type=place, metavar="FILE", help="write what was found for programs")


def _index(parser: Parser) -> None:
    _takes_checkpoint(parser, "the network that compares the photographs")
    parser.add_argument(
        "--photos",
        nargs="+",
        type=place,
        metavar="PLACE",
        help="folders, whose class folders name the products, a list path,label, or files; may come later by add",
    )
    parser.add_argument("--out", type=place, metavar="INDEX", help="the folder of the index, a new one")
    _takes_precision(parser)
    parser.add_argument(
        *spellings_of("held_out"),
        nargs="+",
        type=place,
        metavar="PLACE",
        help="photographs with known products that are not in the index, to calibrate by (default: those of --photos,"
        " each left out in its turn)",
    )
    parser.add_argument("--engine", choices=ENGINES, help="what searches (default: exact, all in order)")
    parser.add_argument(
        *spellings_of("faiss_kind"), choices=("hnsw", "ivf"), help="the structure of --engine faiss (default: hnsw)"
    )
    parser.add_argument(
        "--uri",
        metavar="FILE|URL",
        help="of --engine milvus: a file of Milvus Lite's, or a server; its token: MILVUS_TOKEN",
    )
    parser.add_argument("--collection", metavar="NAME", help="of --engine milvus: its name there (default: a new one)")


def _add(parser: Parser) -> None:
    _takes_index(parser)
    parser.add_argument("places", nargs="+", type=place, metavar="PLACE", help="see --photos of index")
    parser.add_argument("--label", help="what all of them show, whatever their folders say")
    _takes_checkpoint(parser)


def _query(parser: Parser) -> None:
    _takes_index(parser)
    parser.add_argument("places", nargs="+", type=place, metavar="PHOTO", help="photographs, or folders of them")
    parser.add_argument("--top", type=int, metavar="N", help="names and photographs in an answer (default: 5)")
    parser.declare("top", within=at_least(1))
    _takes_checkpoint(parser)
    _writes(parser)


def _calibrate(parser: Parser) -> None:
    _takes_index(parser)
    parser.add_argument("held_out", nargs="*", type=place, metavar="PLACE", help="see --held-out of index")
    _takes_precision(parser)
    _takes_checkpoint(parser)


def _duplicates(parser: Parser) -> None:
    parser.add_argument("places", nargs="+", type=place, metavar="PLACE", help="see --photos of index")
    _takes_checkpoint(parser, "the network that compares the photographs")
    parser.add_argument(
        "--similarity", type=float, metavar="COSINE", help="from which on the network finds two alike (default: 0.98)"
    )
    parser.declare("similarity", within=between(-1, 1))
    _writes(parser)


def _remove(parser: Parser) -> None:
    _takes_index(parser)
    parser.add_argument("places", nargs="*", type=place, metavar="PLACE", help="photographs, or folders of them")
    parser.add_argument("--label", help="all photographs of this product")
    parser.add_argument("--gone", action="store_true", help="all photographs whose file is not there any more")


def _info(parser: Parser) -> None:
    _takes_index(parser)
    parser.add_argument("--json", type=place, metavar="FILE", help="write it for programs")


def _serve(parser: Parser) -> None:
    _takes_index(parser)
    parser.add_argument("--host", help="the address that the page is for; 0.0.0.0: every machine that can reach this")
    parser.add_argument("--port", type=int, help="0: any that is free (default: 8000)")
    parser.declare("port", within=between(0, 65535))
    _takes_checkpoint(parser)


ACTIONS: dict[str, tuple[Callable[[Parser], None], str]] = {
    "index": (_index, "Make an index of photographs."),
    "add": (_add, "Add photographs to an index; nothing is trained."),
    "query": (_query, "Say what photographs show."),
    "calibrate": (_calibrate, "Find the score from which on a name is believed."),
    "duplicates": (_duplicates, "Find photographs that are there more than once; needs no index."),
    "remove": (_remove, "Remove photographs from an index; their files stay."),
    "info": (_info, "Say what is in an index."),
    "verify": (_takes_index, "Look whether an index is whole, and all its files are as they were."),
    "serve": (_serve, "Serve a page: drop a photograph, see what it shows."),
}


def search_parser(action: str) -> Parser:
    """The parser of ``code/search.py ACTION``."""
    add_flags, description = ACTIONS[action]
    parser = Parser(prog=f"search.py {action}", description=description)
    add_flags(parser)
    return parser


def parse_search(arguments: Sequence[str] | None = None) -> SearchCommand:
    """Parse the command line; exits with status 2 and a message if it does not fit."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    action, *rest = arguments or ["--help"]
    if action not in ACTIONS:
        _explain(action)
    parser = search_parser(action)
    typed = parser.parse_typed(rest)
    try:
        _check(action, typed)
        engine = {"kind": typed.pop("faiss_kind", None), "uri": typed.pop("uri", None)}
        engine["collection"] = typed.pop("collection", None)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in typed.items()
        }
        if action == "index":
            values["engine"] = _engine(values.get("engine", "exact"), **engine)
        return SearchCommand(action, **values)
    except UserError as error:
        parser.error(str(error))


def _check(action: str, typed: dict[str, Any]) -> None:
    for name in OUTPUTS:
        if name in typed:
            require_writable_file(typed[name], flag=flag_of(name))
    if action in ("index", "duplicates") and "ckpt" not in typed:
        raise UserError("--ckpt is missing: a run folder or a checkpoint, whose network compares the photographs")
    if action == "index":
        if "out" not in typed:
            raise UserError("--out is missing: the folder of the new index, such as shop.index")
        if typed["out"].exists():
            raise UserError(f"--out {typed['out']} is there already: `add` adds to an index")
        require_writable(typed["out"].absolute().parent, flag="--out")
    if action == "remove" and not ("label" in typed or typed.get("gone") or typed.get("places")):
        raise UserError("what is to be removed? Name photographs, --label or --gone")


def _engine(name: str, *, kind: str | None, uri: str | None, collection: str | None) -> EngineSettings:
    if kind is not None and name != "faiss":
        raise UserError(f"--faiss-kind is for --engine faiss, not for {name}")
    if (uri is not None or collection is not None) and name != "milvus":
        raise UserError(f"--uri and --collection are for --engine milvus, not for {name}")
    if name == "milvus" and uri is None:
        raise UserError("--engine milvus needs --uri: a file such as shop.db, for Milvus Lite, or a server's address")
    return EngineSettings(name, kind, uri, collection)


def _explain(word: str) -> None:
    """Say which actions there are, and end the program."""
    lines = [f"  {name:<12}{description}" for name, (_, description) in ACTIONS.items()]
    text = "\n".join(["usage: search.py ACTION …", "", *lines, "", "search.py ACTION --help lists its flags"])
    if word in ("-h", "--help"):
        print(text)
        raise SystemExit(0)
    parser = Parser(prog="search.py")
    parser.exit(2, f"search.py: error: unknown action {word!r}. Valid: {', '.join(ACTIONS)}\n")
