"""search.py from a trained run to its answers, on real images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import dml
from dml.search.calibration import AT_LEAST
from entrypoints import run_inside
from untrained import untrained


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return untrained(tmp_path_factory.mktemp("network"), 0)


@pytest.fixture(scope="module")
def photos(digits, tmp_path_factory) -> Path:
    """The first 16 images of each digit but 8 and 9; of those and the others the rest is in ``asked`` beside it."""
    folder = tmp_path_factory.mktemp("shop")
    for path in sorted(digits.glob("*/*.png")):
        number = int(path.stem)
        held = number >= 16 or path.parent.name in ("digit_8", "digit_9")
        place = folder / ("asked" if held else "photos") / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return folder / "photos"


@pytest.fixture
def index(made, tmp_path) -> Path:
    """An index of its own for each test."""
    return Path(shutil.copytree(made, tmp_path / "shop.index"))


@pytest.fixture(scope="module")
def made(network, photos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("indices") / "made.index"
    with dml.Index.create(out, network) as index:
        index.add(photos)
    return out


def search(*words: object, capsys, status: int = 0):
    return run_inside("search.py", *words, status=status, capsys=capsys)


def test_from_a_run_to_an_answer(network, photos, tmp_path, capsys):
    out, asked = tmp_path / "shop.index", photos.parent / "asked"
    words = ["index", "--ckpt", network, "--photos", photos, "--out", out, "--precision", 0.9]
    said = search(*words, capsys=capsys).out
    assert "128 photographs added; 128 in all, of 8 products" in said
    assert "products that the network was not trained on, each left out in its turn (48 of" in said
    added = search("add", out, asked / "digit_8", "--label", "digit_8", capsys=capsys).out
    assert "24 photographs added; 152 in all, of 9 products" in added

    question = asked / "digit_3" / "20.png"
    files = ["--html", tmp_path / "answer.html", "--json", tmp_path / "answer.json"]
    printed = search("query", out, question, "--top", 3, *files, capsys=capsys).out
    (answer,) = json.loads((tmp_path / "answer.json").read_text())
    assert answer["photograph"] == str(question)
    best = answer["names"][0]
    assert f"{best['score']:.3f}  {best['name']}" in printed
    assert answer["unknown"] == (best["score"] < answer["threshold"])
    assert len(answer["nearest"]) == 3 >= len(answer["names"])
    assert [one["label"] for one in best["photographs"]] == [best["name"]] * len(best["photographs"])
    assert answer["nearest"][0]["similarity"] == pytest.approx(max(one["similarity"] for one in answer["nearest"]))
    page = (tmp_path / "answer.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 4
    assert str(tmp_path) not in page
    assert str(photos.parent) not in page

    told = search("info", out, "--json", tmp_path / "info.json", capsys=capsys).out
    kept = json.loads((tmp_path / "info.json").read_text())
    assert kept["calibration"]["precision"] == 0.9
    assert f"{kept['calibration']['chosen']['threshold']:.3f}" in told
    assert kept["photographs"] == 152


def test_products_that_were_trained_are_named_and_others_too(index, photos):
    """Better than chance by far: of held-out images of all digits that the index has."""
    asked = sorted(path for path in (photos.parent / "asked").glob("digit_[0-7]/*.png"))
    with dml.Index.open(index) as opened:
        answers = opened.query(asked)
        right = [answer.names[0].name == path.parent.name for answer, path in zip(answers, asked, strict=True)]
        assert sum(right) > 0.7 * len(right)
        assert not any(answer.is_unknown for answer in answers)  # nothing is calibrated yet


def test_calibration_by_held_out_photographs(index, photos, capsys):
    asked = photos.parent / "asked"
    said = search("calibrate", index, asked, "--precision", 0.8, capsys=capsys).out
    assert "photographs that are not in the index (64 of products that are there, 48 of products that are not" in said
    with dml.Index.open(index) as opened:
        found = opened.calibration
        assert found.chosen.precision >= 0.8
        answers = opened.query(sorted(asked.glob("*/*.png")))
        truth = [path.parent.name for path in sorted(asked.glob("*/*.png"))]
        named = [
            (answer.names[0].name, name) for answer, name in zip(answers, truth, strict=True) if not answer.is_unknown
        ]
        assert sum(one == other for one, other in named) / len(named) == pytest.approx(found.chosen.precision)
    strict = search("calibrate", index, asked, "--precision", 1.0, capsys=capsys).out
    assert "100.0" in strict
    shutil.copytree(asked / "digit_9", index.parent / "unknown" / "digit_9")
    few = search("calibrate", index, index.parent / "unknown", status=2, capsys=capsys).err
    assert f"are too few to calibrate it: at least {AT_LEAST}" in few


def test_photographs_of_the_index_do_not_calibrate_it_as_held_out_ones(index, photos, capsys):
    said = search("calibrate", index, photos, status=2, capsys=capsys).err
    assert "all of them are in the index" in said


def test_adding_twice_and_removing(index, photos, capsys):
    assert "0 photographs added, 128 there already; 128 in all" in search("add", index, photos, capsys=capsys).out
    copy = shutil.copy(photos / "digit_1" / "00.png", index.parent / "other name.png")
    assert "1 copies of others; 128 in all" in search("add", index, copy, capsys=capsys).out
    assert "16 photographs removed, 112" in search("remove", index, "--label", "digit_2", capsys=capsys).out
    assert "1 photograph removed, 111" in search("remove", index, photos / "digit_1" / "00.png", capsys=capsys).out
    assert "2 photographs removed" not in search("remove", index, "--gone", capsys=capsys).out
    with dml.Index.open(index) as opened:
        (answer,) = opened.query(photos / "digit_2" / "03.png", top=100)
        assert "digit_2" not in [name.name for name in answer.names]
        assert not opened.verify().faults


def test_files_that_changed_or_went(index, network, photos, tmp_path, capsys):
    own = tmp_path / "own"
    shutil.copytree(photos / "digit_0", own / "digit_0")
    shutil.copy(photos.parent / "asked" / "digit_9" / "00.png", own / "digit_0" / "new.png")
    out = tmp_path / "own.index"
    search("index", "--ckpt", network, "--photos", own / "digit_0" / "new.png", "--out", out, capsys=capsys)
    assert "1 photograph, all as they were" in search("verify", out, capsys=capsys).out
    shutil.copy(photos.parent / "asked" / "digit_9" / "01.png", own / "digit_0" / "new.png")
    printed = search("verify", out, status=2, capsys=capsys)
    assert "of 1 files 1 changed" in printed.err and f"changed: {own}/digit_0/new.png" in printed.out
    assert "(changed)" in search("query", out, photos / "digit_0" / "00.png", capsys=capsys).out
    assert (
        "1 of them in place of what had changed; 1 in all"
        in search("add", out, own / "digit_0" / "new.png", capsys=capsys).out
    )
    (own / "digit_0" / "new.png").unlink()
    assert "of 1 files 1 gone" in search("verify", out, status=2, capsys=capsys).err
    assert "1 photograph removed, 0 are left" in search("remove", out, "--gone", capsys=capsys).out
    assert "holds no photograph yet" in search("query", out, photos / "digit_0", status=2, capsys=capsys).err


def test_photographs_that_cannot_be_read_are_left_out(index, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"1 of 1 photograph left out, .*: broken\.jpg: it is no image"):
        printed = search("add", index, tmp_path / "broken.jpg", capsys=capsys)
    assert "0 photographs added" in printed.out
    assert "cannot read image" in search("query", index, tmp_path / "broken.jpg", status=2, capsys=capsys).err


def test_another_network_is_refused(index, network, photos, tmp_path, capsys):
    other = untrained(tmp_path, 1)
    for words in (["query", index, photos / "digit_0" / "00.png"], ["add", index, photos]):
        said = search(*words, "--ckpt", other, status=2, capsys=capsys).err
        assert "was made with another checkpoint" in said and "whose weights differ" in said
    moved = shutil.copy(network, tmp_path / "moved.pt")
    search("query", index, photos / "digit_0" / "00.png", "--ckpt", moved, capsys=capsys)
    with dml.Index.open(index) as opened:
        opened.store.tell(checkpoint=str(tmp_path / "nowhere.pt"))
    assert "nowhere.pt: no such file" in search("query", index, photos / "digit_0", status=2, capsys=capsys).err


def test_without_labels(network, photos, tmp_path, capsys):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(photos.glob("*/*.png"))[:20]):
        shutil.copy(path, flat / f"{number:02d}.png")
    out = tmp_path / "flat.index"
    said = search("index", "--ckpt", network, "--photos", flat, "--out", out, capsys=capsys).out
    assert "of 0 products" in said
    printed = search("query", out, flat / "03.png", "--top", 2, "--html", tmp_path / "x.html", capsys=capsys).out
    lines = printed.splitlines()
    assert lines[0] == "03.png: the nearest photographs"
    assert lines[1] == f"  1.000  {flat}/03.png"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["indx"], "unknown action 'indx'. Valid: index, add"),
        (["index", "--photos", "x"], "--ckpt is missing"),
        (["index", "--ckpt", "x"], "--out is missing"),
        (["index", "--ckpt", "x", "--out", "x", "--precision", "1.5"], "--precision must lie in (0, 1], got 1.5"),
        (["index", "--ckpt", "x", "--out", "x", "--engine", "milvus"], "--engine milvus needs --uri"),
        (["index", "--ckpt", "x", "--out", "x", "--uri", "y"], "--uri and --collection are for --engine milvus"),
        (["index", "--ckpt", "x", "--out", "x", "--faiss-kind", "ivf"], "--faiss-kind is for --engine faiss"),
        (["query", "nowhere.index", "x.jpg"], "nowhere.index does not exist"),
        (["query", "nowhere.index", "x.jpg", "--top", "0"], "--top must be at least 1"),
        (["query", "nowhere.index", "x.jpg", "--html", "no/x.html"], "--html no/x.html: there is no such folder"),
        (["remove", "nowhere.index"], "what is to be removed?"),
    ],
)
def test_what_does_not_fit(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert told in search(*words, status=2, capsys=capsys).err
    assert not list(tmp_path.iterdir())


def test_help(capsys):
    assert "duplicates" in search("--help", capsys=capsys).out
    assert "--held-out" in search("index", "--help", capsys=capsys).out
