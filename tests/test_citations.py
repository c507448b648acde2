"""What the project's own texts point at is in the project: sections of docs/methods.md, files, keys of vectors."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import dml
from entrypoints import ROOT

FOLDERS = ("code", "scripts", "tests", "docs", ".ci", ".github")
NAMES = r"py|md|sh|json|toml|ya?ml|txt|sbatch|npz|cff"
PATH = re.compile(rf"(?<![\w./<{{-])((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*\.(?:{NAMES}))\b")
PAGE = re.compile(r"(?<![\w./-])([A-Z]{2,}\.md)\b")  # README.md, wherever it lies
MODULE = re.compile(r"(?<![\w./-])dml(?:\.\w+)+")
SECTION = re.compile(r"§(\d+)")
RELATIVE = re.compile(rf"(?<![\w./$)\"])((?:\.\./)+[\w./-]+\.(?:{NAMES}))\b")
TOYS = re.compile(r"\bmy_\w+|test_my_\w+")  # what pages have their readers add
HERE = Path(__file__).name


def texts() -> Iterator[Path]:
    """Every text file of the project."""
    kinds = {".py", ".md", ".sh", ".toml", ".yml", ".yaml", ".cff", ".sbatch", ".txt"}
    files = [path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*") if path.is_file()]
    for path in [*files, *(path for path in ROOT.iterdir() if path.is_file())]:
        if "__pycache__" not in path.parts and (path.suffix in kinds or (path.suffix == "" and path.name != ".git")):
            yield path


def prose(path: Path) -> str:
    """What a file says: of Python its docstrings and comments, of others all of it."""
    text = path.read_text()
    if path.suffix != ".py":
        return text
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    said = [token.string for token in tokens if token.type == tokenize.COMMENT]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            said.append(node.value.value)
    return "\n".join(said)


TEXTS = sorted(texts())


def sections() -> dict[str, str]:
    """Number of each section of docs/methods.md → its text."""
    parts = re.split(r"^## (\d+)\. ", (ROOT / "docs" / "methods.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def cited_sections(text: str) -> list[str]:
    """Number and letter of every section behind the word METHODS: of §5 to §11 both, of §2a its letter, too."""
    lists = re.findall(r"METHODS (§\d+[a-c]?(?:(?:,? and |, | to |–)§?\d+[a-c]?)*)", re.sub(r"\s+#?\s*", " ", text))
    return [number for found in lists for number in re.findall(r"\d+[a-c]?", found)]


def test_there_is_something_to_check():
    assert len(TEXTS) > 500
    assert sum(len(cited_sections(prose(path))) for path in TEXTS) > 90


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(METHODS §17).", ["17"]),
        ("METHODS §12 to §14", ["12", "14"]),
        ("METHODS §1 and §2", ["1", "2"]),
        ("METHODS §2c.", ["2c"]),
        ("METHODS\n# §24", ["24"]),
    ],
)
def test_citations_are_found(text, expected):
    assert cited_sections(text) == expected


def test_sections_cited_are_there():
    found = sections()
    assert list(found) == [str(number) for number in range(26)]
    for path in TEXTS:
        for cited in cited_sections(prose(path)):
            number, letter = re.fullmatch(r"(\d+)([a-c]?)", cited).groups()
            assert number in found, f"{path.relative_to(ROOT)}: METHODS §{cited}"
            assert not letter or f"({letter})" in found[number], f"{path.relative_to(ROOT)}: METHODS §{cited}"
    within = {number for text in found.values() for number in SECTION.findall(text)}
    assert within <= set(found)


NAMES_OF_FILES = {path.name for path in TEXTS}
MODULES = {
    ".".join(path.relative_to(ROOT / "code").with_suffix("").parts).removesuffix(".__init__")
    for path in TEXTS
    if path.suffix == ".py" and path.is_relative_to(ROOT / "code")
} - {"dml"}


def not_there(text: str, folder: Path) -> list[str]:
    """Files and modules that a text in ``folder`` names and that do not exist."""
    wrong = [name for name in PATH.findall(text) if not (ROOT / name).exists()]
    wrong += [name for name in RELATIVE.findall(text) if not (folder / name).exists()]
    wrong += [name for name in PAGE.findall(text) if name not in NAMES_OF_FILES]
    for name in MODULE.findall(text):
        parts = name.split(".")
        if parts[1] in dir(dml):  # what the package itself offers
            continue
        if not MODULES.intersection(".".join(parts[:end]) for end in range(len(parts), max(len(parts) - 3, 1), -1)):
            wrong.append(name)  # neither a module nor up to two names within one
    return [name for name in wrong if not TOYS.search(name)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see docs/no_such.md.", ["docs/no_such.md"]),
        ("Formulas: ../elsewhere/FORMULAS.md", ["../elsewhere/FORMULAS.md"]),
        ("as PLANS.md has it", ["PLANS.md"]),
        ("``dml.losses.nowhere``", []),  # a name within dml.losses
        ("``dml.nowhere``", ["dml.nowhere"]),
        ("README.md, docs/methods.md, ``dml.losses.spec.LossSpec.default``", []),
    ],
)
def test_wrong_citations_are_found(text, expected):
    assert not_there(text, ROOT / "docs") == expected


def test_files_cited_are_there():
    wrong = {
        str(path.relative_to(ROOT)): names
        for path in TEXTS
        if path.name != HERE and (names := not_there(prose(path), path.parent))
    }
    assert not wrong


def bare_keys(path: Path) -> set[str]:
    """Keys of a file of vectors without variant and step."""
    with np.load(path, allow_pickle=False) as vectors:
        return {key.rpartition("__")[2] for key in vectors.files}


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "reference").glob("*.npz")), ids=lambda path: path.stem)
def test_every_key_of_the_vectors_is_explained(path):
    page = (ROOT / "tests" / "reference" / "README.md").read_text()
    keys = (ROOT / "tests" / "reference" / "KEYS.md").read_text()
    listed = set(re.findall(r"`([^`\s]+)`", page))
    patterns = [re.compile(re.escape(name).replace(r"\*", r"\w+").replace("_K", r"_\d+")) for name in listed]
    assert f"## {path.name}" in keys or path.stem == "00_networks"  # whose keys follow a rule
    for key in bare_keys(path):
        if ":" in key:  # network:path of 00_networks
            continue
        # grad_X and param_X and feat_X by their rule; a recall with c_ before it by its own
        bare = re.sub(r"^(c_(?=mAP))", "", key)
        by_rule = re.match(r"(grad|param|feat|loss|n)_\w", key) or key.endswith(("_init", "_f32"))
        assert by_rule or any(pattern.fullmatch(bare) for pattern in patterns), key
