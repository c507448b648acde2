"""Runs on photographs that are kept decoded record what runs that decode them each time record."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from entrypoints import SMALL, record, run_inside


@pytest.fixture(scope="module")
def photographs(digits, tmp_path_factory) -> Path:
    """The digits in JPEG files, some of them grey, some progressive."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, path in enumerate(sorted(digits.glob("digit_[0-5]/0*.png"))):
        (folder / path.parent.name).mkdir(exist_ok=True)
        with Image.open(path) as image:
            shown = image.convert("L" if number % 3 == 0 else "RGB").resize((48, 40), Image.Resampling.BICUBIC)
        shown.save(folder / path.parent.name / f"{path.stem}.jpg", progressive=number % 4 == 0)
    return folder


@pytest.mark.parametrize(
    ("entry", "ways"),
    [("train.py", [("memory", "2"), ("disk", "0")]), ("train_stml.py", [("disk", "2")])],
    ids=["train", "train_stml"],
)
def test_the_record_is_the_same(photographs, logs, tmp_path, monkeypatch, capsys, entry, ways):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options = SMALL[: SMALL.index("--batch-size")] + SMALL[SMALL.index("--workers") + 2 :]
    options += ["--dataset", "folder", "--data-dir", photographs, "--log-dir", logs, "--batch-size", "12"]
    options += ["--epochs", "2", "--seed", "5"]

    def recorded(way: str, workers: str) -> list[dict]:
        name = f"{entry}_{way}_{workers}"
        words = [*options, "--cache-images", way, "--workers", workers, "--run-name", name]
        said = run_inside(entry, *words, status=0, capsys=capsys)
        assert ("--cache-images: decoding" in said.out) == (way != "none")
        return record(logs / "folder" / name)

    expected = recorded("none", "0")
    assert any("eval/recall_at_1" in line for line in expected)
    for way, workers in ways:
        assert repr(recorded(way, workers)) == repr(expected)
