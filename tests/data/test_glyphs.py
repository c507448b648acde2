from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dml.data import DatasetError, glyphs, load_dataset

SMALL = {"latin": "ABCDabcd", "greek": "ΓΔΘΛ"}
NOT_WRITABLE = Path("/proc/nowhere")  # not even for an administrator


@pytest.fixture
def few_letters(monkeypatch):
    monkeypatch.setattr(glyphs, "LETTERS", SMALL)


@pytest.fixture(scope="module")
def all_letters(tmp_path_factory):
    return load_dataset("glyphs", tmp_path_factory.mktemp("data"))


def digest(root: Path) -> str:
    files = sorted(root.rglob("*.png"))
    return hashlib.sha256(b"".join(f.name.encode() + f.read_bytes() for f in files)).hexdigest()


def test_each_letter_is_a_class_of_16_typefaces(all_letters):
    assert (all_letters.train.class_counts() == 16).all()
    assert (all_letters.query.class_counts() == 16).all()
    assert all_letters.train.num_classes + all_letters.query.num_classes == 278
    assert Image.open(all_letters.train.paths[0]).size == (64, 64)


def test_halves_are_disjoint_and_hold_every_script(all_letters):
    train, test = set(all_letters.train.class_names), set(all_letters.query.class_names)
    assert not train & test
    assert abs(len(train) - len(test)) <= 3
    for names in (train, test):
        assert {name.split("-")[0] for name in names} == {"latin", "greek", "cyrillic"}


def test_both_cases_of_a_letter_are_on_one_side(all_letters):
    train, test = (
        {chr(int(name.split("-")[1], 16)).lower() for name in records.class_names}
        for records in (all_letters.train, all_letters.query)
    )
    assert not train & test


def test_no_letter_is_listed_twice():
    letters = "".join(glyphs.LETTERS.values())
    assert len(set(letters)) == len(letters)


def test_raw_pixels_are_a_hard_baseline(all_letters):
    """R@1 of the nearest neighbour on raw pixels at 48 × 48: 0.22 by design, leaving much to learn."""
    records = all_letters.query
    pixels = np.stack(
        [np.asarray(Image.open(path).resize((48, 48), Image.Resampling.BILINEAR), np.float32) for path in records.paths]
    ).reshape(len(records), -1)
    pixels /= 255
    norms = (pixels**2).sum(1)
    distances = norms[:, None] + norms - 2 * pixels @ pixels.T
    np.fill_diagonal(distances, np.inf)
    recall = (records.labels[distances.argmin(1)] == records.labels).mean()
    assert recall == pytest.approx(0.22, abs=0.03)


def test_rendering_repeats_exactly(tmp_path, few_letters):
    first, second = (glyphs.prepare_glyphs(tmp_path / name) for name in "ab")
    assert digest(first) == digest(second)


def test_rendered_once_and_again_when_the_recipe_changes(tmp_path, few_letters, monkeypatch):
    root = glyphs.prepare_glyphs(tmp_path)
    stamp = (root / "recipe.txt").stat().st_mtime_ns
    assert (glyphs.prepare_glyphs(tmp_path) / "recipe.txt").stat().st_mtime_ns == stamp
    monkeypatch.setattr(glyphs, "RECIPE", "another\n")
    assert (glyphs.prepare_glyphs(tmp_path) / "recipe.txt").read_text() == "another\n"
    assert [path.name for path in tmp_path.iterdir()] == ["glyphs"]


def test_interruption_leaves_nothing(tmp_path, few_letters, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(glyphs, "_draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        glyphs.prepare_glyphs(tmp_path)
    assert not list(tmp_path.iterdir())


def test_another_process_may_be_faster(tmp_path, few_letters, monkeypatch):
    render = glyphs.render_glyphs

    def render_while_another_finishes(root):
        render(tmp_path / "glyphs")
        render(root)

    monkeypatch.setattr(glyphs, "render_glyphs", render_while_another_finishes)
    root = glyphs.prepare_glyphs(tmp_path)
    assert (root / "recipe.txt").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["glyphs"]


def test_a_foreign_folder_of_that_name_is_kept(tmp_path, few_letters):
    (tmp_path / "glyphs").mkdir()
    (tmp_path / "glyphs" / "mine.txt").touch()
    with pytest.raises(DatasetError, match="in the way"):
        glyphs.prepare_glyphs(tmp_path)
    assert (tmp_path / "glyphs" / "mine.txt").exists()


def test_falls_back_to_the_cache_folder(tmp_path, few_letters, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = glyphs.prepare_glyphs(NOT_WRITABLE)
    assert root == tmp_path / "cache" / "dml" / "glyphs"


def test_no_place_at_all(tmp_path, few_letters, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(NOT_WRITABLE))
    with pytest.raises(OSError, match="no place to render"):
        glyphs.prepare_glyphs(NOT_WRITABLE)
