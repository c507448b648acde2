"""An embedder gives what evaluate.py writes, and takes images of every kind."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dml
from dml.api.embedder import Preprocessing
from dml.errors import UserError
from entrypoints import SMALL, run_inside


@pytest.fixture(scope="module")
def photos(digits, tmp_path_factory) -> Path:
    """Classes of images, some of them lying on their side, transparent, grey or of 16 bits."""
    folder = tmp_path_factory.mktemp("photos")
    for number, path in enumerate(sorted(digits.glob("*/*.png"))):
        place = folder / path.parent.name
        place.mkdir(exist_ok=True)
        image = Image.open(path).resize((40, 32))
        if number % 4 == 0:
            exif = Image.Exif()
            exif[0x0112] = 6
            image.convert("RGB").save(place / f"{path.stem}.jpg", exif=exif)
        elif number % 4 == 1:
            image.putalpha(image.convert("L"))
            image.save(place / path.name)
        elif number % 4 == 2:
            Image.fromarray(np.asarray(image).astype(np.uint16) * 16).save(place / path.name)
        else:
            image.save(place / path.name)
    return folder


@pytest.fixture(scope="module")
def folder(photos, logs) -> Path:
    settings = ["--dataset", "folder", "--data-dir", photos, "--log-dir", logs, *SMALL]
    return dml.train([*settings, "--epochs", 1, "--run-name", "run", "--resize", 36, "--pillow", 1])


@pytest.fixture(scope="module")
def embedder(folder) -> dml.Embedder:
    return dml.load(folder, device="cpu")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_paths_give_what_evaluate_writes(folder, embedder, tmp_path, capsys):
    file = tmp_path / "embeddings.npz"
    run_inside("evaluate.py", "--ckpt", folder, "--save-embeddings", file, "--workers", 0, status=0, capsys=capsys)
    saved = np.load(file)
    assert len({Path(path).suffix for path in saved["paths"]}) == 2
    assert np.array_equal(embedder.embed(saved["paths"].tolist()).numpy(), saved["embeddings"])


def test_what_it_says(folder, embedder, photos):
    assert embedder.classes == tuple(f"digit_{digit}" for digit in range(5))
    assert (embedder.distance, embedder.embedding_size) == ("cosine", 16)
    assert embedder.input_spec == embedder.model.input_spec
    how = dataclasses.asdict(embedder.preprocessing)
    assert how == {"resize": 36, "crop_size": 32, "pillow": True, "upright": True, "bits": 12}
    assert dml.load(folder / "last.pt", device="cpu").preprocessing == embedder.preprocessing
    assert not embedder.model.training


def test_images_of_every_kind(embedder, photos):
    upright = photos / "digit_3"
    paths = [next(path for path in sorted(upright.iterdir()) if path.suffix == suffix) for suffix in (".jpg", ".png")]
    of_paths = embedder.embed(paths)
    assert of_paths.shape == (2, 16)
    assert of_paths.dtype == torch.float32
    assert torch.equal(embedder.embed([Image.open(path) for path in paths]), of_paths)
    pixels = np.stack([np.asarray(embedder.preprocessing.read(path).resize((32, 40))) for path in paths])
    of_pixels = embedder.embed(pixels)
    assert torch.equal(embedder.embed([Image.fromarray(one) for one in pixels]), of_pixels)
    torch.testing.assert_close(embedder.embed(pixels[0]), of_pixels[:1])
    torch.testing.assert_close(embedder.embed(str(paths[0])), of_paths[:1])
    torch.testing.assert_close(embedder.embed(paths, batch_size=1, workers=1), of_paths)
    assert embedder.embed([]).shape == (0, 16)
    grey = np.arange(40 * 40, dtype=np.uint8).reshape(40, 40)
    torch.testing.assert_close(embedder.embed(grey), embedder.embed(np.stack([grey] * 3, axis=2)))


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("nowhere.png", "image file is missing: nowhere.png"),
        ([np.zeros((8, 8, 3), np.float32)], r"pixels must be uint8 .*; got float32 \(8, 8, 3\)"),
        ([np.zeros((3, 8, 8), np.uint8)], r"got uint8 \(3, 8, 8\)"),
        (Image.fromarray(np.zeros((8, 8), np.uint16)), "has more than 8 bits: give its file"),
    ],
)
def test_what_is_no_image(embedder, image, told):
    with pytest.raises(UserError, match=told):
        embedder.embed(image)


def test_what_is_no_network(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        dml.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="neither a checkpoint nor a run folder"):
        dml.load(tmp_path)


@pytest.fixture(scope="module")
def deep_photos(tmp_path_factory) -> Path:
    """Grey images of 10 and of 12 bits in files of 16, which do not say so."""
    folder = tmp_path_factory.mktemp("deep")
    pixels = np.random.default_rng(0).integers(256, size=(8, 40, 40), dtype=np.uint16)
    for number, one in enumerate(pixels):
        place = folder / f"class_{number % 4}"
        place.mkdir(exist_ok=True)
        Image.fromarray(one * (4 if number < 4 else 16)).save(place / f"{number}.png")
    return folder


@pytest.mark.parametrize("record", ["none looked for", "none there"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_deep_images_are_read_as_evaluate_reads_them(folder, photos, deep_photos, record, tmp_path, capsys):
    """By a run that says nothing of bits: one of before they were looked for, one without images to tell them by."""
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    saved = torch.load(run / "best.pt", weights_only=True)
    assert saved["config"]["data"].pop("bits") == 12
    if record == "none there":
        saved["config"]["data"]["bits"] = None
    torch.save(saved, run / "best.pt")
    file = tmp_path / "embeddings.npz"
    words = ["--ckpt", run, "--data-dir", deep_photos, "--save-embeddings", file, "--workers", 0]
    run_inside("evaluate.py", *words, status=0, capsys=capsys)
    written, network = np.load(file), dml.load(run, device="cpu")
    assert network.preprocessing.bits == (16 if record == "none looked for" else None)
    paths = written["paths"].tolist()
    assert np.array_equal(network.embed(paths).numpy(), written["embeddings"])
    by_itself = network.embed(paths[0])
    assert torch.allclose(by_itself, network.embed(paths)[:1], atol=1e-5) == (record == "none looked for")


def test_bits_are_settled_by_files_alone(deep_photos, photos):
    preprocessing = Preprocessing(resize=36, crop_size=32, pillow=False, upright=True, bits=None)
    files = sorted(deep_photos.rglob("*.png"))
    plain = sorted(photos.rglob("*.jpg"))
    ten = [path for path in files if int(path.stem) < 4]
    assert preprocessing.settled(files).bits == 12
    assert preprocessing.settled([*ten, *plain, np.zeros((8, 8), np.uint8), "nowhere.png"]).bits == 10
    assert preprocessing.settled(plain).bits is None
    assert dataclasses.replace(preprocessing, bits=14).settled(files).bits == 14
