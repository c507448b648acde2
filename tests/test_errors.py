"""What the user can mend is a UserError, whatever else it is; what is typed raises nothing else."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import pkgutil
from pathlib import Path

import pytest

import dml
from dml.errors import UserError, add_note, notes_of

PACKAGE = Path(dml.__file__).parent
# Where what was typed, or stands in a file, is looked at; elsewhere a ValueError is a contract between functions.
OF_THE_USER = ("cli", "config", "report")
# Raised where a request is made, of a download or to the page of an index, and answered there.
WITHIN = {"ChangedError", "PageError", "UploadError"}


def error_classes() -> dict[str, type[Exception]]:
    found = {}
    for module in pkgutil.walk_packages([str(PACKAGE)], "dml."):
        for name, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, Exception) and not issubclass(value, Warning) and value.__module__.startswith("dml."):
                found[name] = value
    return found


def test_every_error_of_ours_is_the_users():
    classes = error_classes()
    assert len(classes) > 10
    assert {name for name, kind in classes.items() if not issubclass(kind, UserError)} == WITHIN


@pytest.mark.parametrize("kind", [kind for kind in error_classes().values() if issubclass(kind, OSError)])
def test_those_of_files_carry_their_message_from_process_to_process(kind):
    again = pickle.loads(pickle.dumps(kind("photo.jpg: no image")))
    assert (type(again), str(again)) == (kind, "photo.jpg: no image")


@pytest.mark.parametrize("layer", OF_THE_USER)
def test_what_is_typed_raises_nothing_else(layer):
    for path in sorted((PACKAGE / layer).rglob("*.py")):
        raised = {
            node.exc.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
        }
        assert "ValueError" not in raised, path


def test_messages_that_name_a_flag_are_for_the_user():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and node.exc is not None and "ValueError(" in ast.unparse(node.exc):
                texts = [part.value for part in ast.walk(node.exc) if isinstance(part, ast.Constant)]
                assert not any("--" in str(text) for text in texts), f"{path}: {texts}"


def test_notes_are_kept_in_their_order():
    error = ValueError("x")
    assert notes_of(error) == []
    add_note(error, "a")
    add_note(error, "b")
    assert notes_of(error) == ["a", "b"]
