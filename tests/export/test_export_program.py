"""What export.py writes gives our embeddings to other programs, and tells them what they must know."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import dml
from dml.export import folder as folder_module
from dml.export import load_exported
from dml.neighbours import nearest_neighbours
from entrypoints import run_inside
from untrained import DIGITS, untrained

ALL = ("--onnx", "--torch-export", "--safetensors")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """A run whose command named places of its machine."""
    folder = tmp_path_factory.mktemp("somebody") / "secret_place"
    folder.mkdir()
    untrained(folder, 0).rename(folder / "last.pt")
    (folder / "config.json").write_text("{}")
    command = f"{folder}/code/train.py --dataset folder --data-dir {folder}/photos --log-dir=/home/me/logs --lr 1e-4"
    (folder / "environment.json").write_text(json.dumps({"sessions": [{"command": command}]}))
    return folder


@pytest.fixture(scope="module")
def exported(run_folder, digits, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "all"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["export.py"])
        from dml.cli.export import parse_export
        from dml.programs.export import run

        run(parse_export(["--ckpt", str(run_folder / "last.pt"), *ALL, str(out), "--images", str(digits)]))
    return out


def pixels(paths: list[Path]) -> np.ndarray:
    """(n, 3, 32, 32) float32 of images of 32 pixels, as preprocessor.json says."""
    return np.stack(
        [np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1) / np.float32(255) for path in paths]
    )


def test_onnx_gives_the_same_neighbours(exported, run_folder, digits):
    onnxruntime = pytest.importorskip("onnxruntime")
    paths = sorted(digits.glob("*/*.png"))[::3]
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])
    (theirs,) = session.run(["embedding"], {"images": pixels(paths)})
    ours = dml.load(run_folder / "last.pt", device="cpu").embed(paths)
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    own = torch.arange(len(paths))
    neighbours = [
        nearest_neighbours(embeddings, embeddings, 5, exclude=own)[0] for embeddings in (ours, torch.from_numpy(theirs))
    ]
    assert torch.equal(*neighbours)
    (single,) = session.run(["embedding"], {"images": pixels(paths[:1])})
    np.testing.assert_allclose(single, theirs[:1], atol=1e-5)


def test_torch_export_and_safetensors(exported, run_folder, digits):
    pytest.importorskip("safetensors")
    paths = sorted(digits.glob("*/*.png"))[:7]
    ours = dml.load(run_folder / "last.pt", device="cpu").embed(paths)
    program = torch.export.load(exported / "model.pt2").module()
    torch.testing.assert_close(program(torch.from_numpy(pixels(paths))), ours, atol=1e-4, rtol=0)
    again = load_exported(exported, device="cpu")
    assert torch.equal(again.embed(paths), ours)
    assert again.classes == DIGITS


def test_what_one_must_know(exported, run_folder):
    assert (exported / "classes.txt").read_text().splitlines() == list(DIGITS)
    how = json.loads((exported / "preprocessor.json").read_text())
    assert how["size"] == {"shortest_edge": 32} and how["crop_size"] == {"height": 32, "width": 32}
    assert how["normalisation"]["inside_of"] == ["model.onnx", "model.pt2"]
    assert how["normalisation"]["mean"] == [0.485, 0.456, 0.406]
    card = (exported / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n")
    assert "    train.py --dataset folder --data-dir photos --log-dir=logs --lr 1e-4\n" in card
    assert "opset 18" in card and "5 classes trained it" in card
    for path in exported.iterdir():
        assert b"secret_place" not in path.read_bytes(), path.name


def test_opset_and_dynamic_batch(exported):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported / "model.onnx")
    assert [one.version for one in model.opset_import if one.domain == ""] == [18]
    for value in (model.graph.input[0], model.graph.output[0]):
        assert value.type.tensor_type.shape.dim[0].dim_param


def test_without_the_runs_data_letters_are_compared(run_folder, tmp_path, capsys):
    words = ["--ckpt", run_folder / "last.pt", "--safetensors", tmp_path / "out"]
    said = run_inside("export.py", *words, status=0, capsys=capsys).out
    assert "safetensors: on 16 images (letters: the run's data are not there) within " in said


def test_nothing_is_left_where_embeddings_differ(run_folder, digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folder_module, "TOLERANCE", -1.0)
    words = ["--ckpt", run_folder / "last.pt", "--safetensors", tmp_path / "out", "--images", digits]
    assert "differ from ours by up to" in run_inside("export.py", *words, status=2, capsys=capsys).err
    assert not list(tmp_path.iterdir())


def test_a_network_with_its_channels_reversed(digits, tmp_path):
    """The normalisation inside is the network's own."""
    pytest.importorskip("onnxruntime")
    checkpoint = untrained(tmp_path, 1, model="bn_inception")
    images = sorted(digits.glob("*/*.png"))[:2]
    done = folder_module.export(checkpoint, tmp_path / "out", formats=["torch_export"], images=images, about="digits")
    assert done.differences["torch_export"] < 1e-4


def test_pushing(run_folder, tmp_path, monkeypatch, capsys):
    sent = []
    hub = pytest.importorskip("huggingface_hub")
    api = SimpleNamespace(
        create_repo=lambda name, exist_ok: sent.append(name),
        upload_folder=lambda repo_id, folder_path: sent.append(sorted(path.name for path in folder_path.iterdir())),
    )
    monkeypatch.setattr(hub, "HfApi", lambda: api)
    words = ["--ckpt", run_folder / "last.pt", "--safetensors", tmp_path / "out", "--push", "me/birds"]
    run_inside("export.py", *words, status=0, capsys=capsys)
    assert sent[0] == "me/birds"
    assert {"README.md", "model.safetensors", "preprocessor.json", "classes.txt"} <= set(sent[1])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--onnx", "out"], "--ckpt is missing"),
        (["--ckpt", "x.pt", "out"], "which format?"),
        (["--ckpt", "x.pt", "--onnx", "."], "is there already"),
        (["--ckpt", "x.pt", "--onnx", "out"], "x.pt: no such file"),
    ],
)
def test_what_does_not_fit(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert told in run_inside("export.py", *words, status=2, capsys=capsys).err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_none(tmp_path, exported):
    with pytest.raises(ValueError, match="no folder of `code/export"):
        load_exported(tmp_path)
    broken = shutil.copytree(exported, tmp_path / "broken")
    (broken / "config.json").write_text('{"format": "x", "classes": 0}')
    with pytest.raises(ValueError, match="format 'x'"):
        load_exported(broken)
