"""Entries of registries describe themselves, once, at the end of their files; a wrong option is told the right ones."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from dml.errors import UserError
from dml.losses import LOSSES
from dml.losses.self_taught import SELF_TAUGHT_LOSSES
from dml.losses.transfer import TRANSFER_LOSSES
from dml.miners import MINERS
from dml.options import Option, Spec
from dml.ranges import at_least
from dml.registry import Registry

CODE = Path(__file__).parents[1] / "code"
REGISTRIES = (LOSSES, TRANSFER_LOSSES, SELF_TAUGHT_LOSSES, MINERS)
SPECS = {"SPEC", "SPECS"}


class Toy(Spec):
    kind = "toy"


def build(*, size: int, height: float = 2.0, wide: bool = False) -> tuple[int, float, bool]:
    return size, height, wide


TOY = Toy(
    name="block",
    build=build,
    spellings=("Block", "Brick"),
    options={"block-h": Option("height", "how high", within=at_least(0)), "wide": Option("wide", "or narrow")},
)


def described(path: Path) -> bool:
    """Whether a file describes entries of a registry; it must do so in its last statement, and nowhere else."""
    tree = ast.parse(path.read_text()).body
    places = [
        place
        for place, statement in enumerate(tree)
        if isinstance(statement, ast.Assign) and any(ast.unparse(name) in SPECS for name in statement.targets)
    ]
    assert places in ([], [len(tree) - 1]), f"{path} does not end in its SPEC"
    return bool(places)


def test_every_description_is_at_the_end_of_its_file_and_in_a_registry():
    files = [path for room in ("losses", "miners") for path in sorted((CODE / "dml" / room).rglob("*.py"))]
    modules = [".".join(path.relative_to(CODE).with_suffix("").parts) for path in files if described(path)]
    found = [import_module(name) for name in modules]
    specs = [spec for module in found for spec in getattr(module, "SPECS", None) or [module.SPEC]]
    listed = {id(spec) for registry in REGISTRIES for spec in registry.values()}
    assert {id(spec) for spec in specs} == listed
    assert len(specs) == len(listed)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_entries_stand_under_their_names(registry):
    for name, spec in registry.items():
        assert spec.name == name
        assert spec.kind == registry.kind
        assert all(registry[spelling] is spec for spelling in spec.spellings)


def test_defaults_are_those_of_the_signature():
    assert TOY.default("block-h") == 2.0
    assert TOY.complete({"wide": True, "of another": 1}) == {"block-h": 2.0, "wide": True}
    assert (TOY.takes("size"), TOY.takes("depth")) == (True, False)


def test_own_options_are_told_from_others():
    assert TOY.own({"wide": True, "of another": 1}) == {"wide": True}


def test_flags_and_arguments_are_two_names_of_one_option():
    assert TOY.arguments({"block-h": 3.0}) == {"height": 3.0}
    assert TOY.by_flag({"height": 3.0, "wide": True}) == {"block-h": 3.0, "wide": True}
    assert TOY.build(size=1, **TOY.arguments(TOY.by_flag({"height": 3.0}))) == (1, 3.0, False)


def test_what_is_no_option_is_told_those_that_there_are():
    with pytest.raises(UserError, match=r"toy block \(Block, Brick\) has no option 'height': .* are block-h, wide$"):
        TOY.arguments({"height": 3.0})
    with pytest.raises(UserError, match=r"has no option 'block-h': its options are height, wide$"):
        TOY.by_flag({"block-h": 3.0})
    with pytest.raises(UserError, match=r"toy bare has no option 'size': it has none$"):
        Toy(name="bare", build=build).by_flag({"size": 3})
    with pytest.raises(UserError, match="height must be 0 or more, got -1"):
        TOY.by_flag({"height": -1})


def test_two_of_one_name_are_refused(monkeypatch, tmp_path):
    """Of two files, one of whose spellings is the other's name."""
    package = tmp_path / "toy_room"
    package.mkdir()
    (package / "__init__.py").touch()
    line = "from types import SimpleNamespace as Spec\nSPEC = Spec(name={!r}, spellings=({!r},))\n"
    (package / "one.py").write_text(line.format("one", "One"))
    (package / "two.py").write_text(line.format("two", "one"))
    monkeypatch.syspath_prepend(tmp_path)
    assert list(Registry.collected("toy", "toy_room", ("one",))) == ["one"]
    with pytest.raises(ValueError, match="two of toy_room have one name: One, one, one, two"):
        Registry.collected("toy", "toy_room", ("one", "two"))
