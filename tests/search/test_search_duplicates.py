"""Copies of every kind are found, and photographs of the same thing are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dml.data.near_duplicates import FINGERPRINT, fingerprint
from dml.search.duplicates import FILE, NETWORK, PICTURE, find_groups
from dml.search.items import Photograph
from entrypoints import run_inside
from untrained import untrained


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Smooth pictures in two classes: one copied under both names, one saved anew at half its size."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(8):
        place = folder / ("a" if number < 4 else "b")
        place.mkdir(exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((96, 96), Image.Resampling.BICUBIC).save(place / f"{number}.png")
    shutil.copy(folder / "a" / "1.png", folder / "b" / "copy.png")
    Image.open(folder / "b" / "6.png").resize((64, 64)).save(folder / "b" / "anew.jpg", quality=85)
    return folder


def test_the_program(photos, tmp_path, capsys):
    files = ["--html", tmp_path / "dups.html", "--json", tmp_path / "dups.json"]
    words = ["duplicates", photos, "--ckpt", untrained(tmp_path, 0), "--similarity", 1, *files]
    printed = run_inside("search.py", *words, status=0, capsys=capsys).out
    assert "10 photographs, 2 groups: 2 could go" in printed
    first, second = json.loads((tmp_path / "dups.json").read_text())
    assert (first["kind"], first["labels"]) == (FILE, ["a", "b"])
    assert [Path(one["path"]).name for one in first["photographs"]] == ["1.png", "copy.png"]
    assert (second["kind"], second["labels"]) == (PICTURE, ["b"])
    assert {Path(one["path"]).name for one in second["photographs"]} == {"6.png", "anew.jpg"}
    page = (tmp_path / "dups.html").read_text()
    assert page.count("data:image/jpeg") == 4 and "under 2 names" in page and str(photos) not in page


def test_groups_by_the_network():
    import torch

    photographs = [Photograph(f"/{number}.jpg", "a") for number in range(5)]
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)) for _ in range(5)]
    prints = np.array([fingerprint(image) for image in images], dtype=FINGERPRINT)
    angles = torch.tensor([0.0, 0.1, 0.2, 1.0, 3.0])
    vectors = torch.stack([angles.cos(), angles.sin()], 1) * torch.tensor([1.0, 5, 1, 1, 1])[:, None]
    digests = [bytes([number]) for number in range(5)]
    (group,) = find_groups(photographs, digests, prints, vectors, similarity=0.99)
    assert [one.path for one in group.photographs] == ["/0.jpg", "/1.jpg", "/2.jpg"]
    assert group.kind == NETWORK
    assert group.similarity == pytest.approx(np.cos(0.1))
    assert not find_groups(photographs, digests, prints, vectors, similarity=0.999)
    assert not find_groups(photographs[:1], digests[:1], prints[:1], vectors[:1], similarity=0.0)
