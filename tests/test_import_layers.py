"""Imports inside the package run one way: each layer may import only those before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "code" / "dml"
LAYERS = (
    ("errors", "devices", "memory", "version", "columns", "confidence"),
    ("ranges", "conditions", "places"),
    (
        *("structures", "registry", "options", "normalize", "metric_names", "metrics_file", "redact", "wandb_settings"),
        *("processes", "signals", "plain_text", "packages", "positives", "writing", "numpy_pickle"),
        "own_recipe",
    ),
    ("config", "recipes"),
    ("data",),
    ("models",),
    ("neighbours",),
    ("miners",),
    ("losses",),
    ("methods",),
    ("tracking",),
    ("tensorboard", "wandb_backend"),
    ("evaluation",),
    ("training",),
    ("report",),
    ("search",),
    ("cli",),
    ("api",),
    ("page", "export", "compare"),
    ("programs",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The layers of the package that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "dml")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("dml.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_what_stands_before(path):
    own = RANK[layer_of(path)]
    wrong = {name for name in imported(path) - {layer_of(path)} if RANK[name] >= own}
    assert not wrong, f"{path.relative_to(PACKAGE)} imports {sorted(wrong)}"


def test_every_layer_is_ranked():
    assert {layer_of(path) for path in MODULES} <= set(RANK)


def test_the_folder_code_is_no_package():
    """A package named ``code`` would shadow the standard library's module."""
    assert not (PACKAGE.parent / "__init__.py").exists()
