"""scripts/gpu_check.sh: what it packs, that each stage's commands parse, and what becomes of steps that go wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

import benchmark
import gpu_check
from benchmarks import BENCHMARKS
from dml.cli.train import parse_train
from dml.errors import UserError
from entrypoints import ROOT
from gpu_checks import packing, running, stages
from gpu_checks.stages import FOLDER, IMAGES, STAGES, WEIGHTS, Figure, Setting, Step


def step(name: str, code: str, seconds: float = 60, **options) -> Step:
    return Step(name, (sys.executable, "-c", code), seconds, **options)


def broken() -> list[Figure]:
    raise KeyError("train/loss")


@pytest.fixture
def unpacked(tmp_path, monkeypatch) -> Path:
    """An archive's folder, in which the steps are tiny programs."""
    root = tmp_path / FOLDER
    for number in range(10):
        (root / IMAGES / f"class_{number:03d}").mkdir(parents=True)
        for image in range(3):
            (root / IMAGES / f"class_{number:03d}" / f"{image}.jpg").touch()
    (root / WEIGHTS).touch()
    monkeypatch.setattr(running, "ROOT", root)
    monkeypatch.setattr(running, "describe", lambda *_: {"device": "a card", "torch": "2"})
    return root


def test_whatever_becomes_of_a_step_the_next_one_runs(unpacked, tmp_path, monkeypatch, capsys):
    kept = [Figure("speed", 3.0, "images/s"), Figure("time", 2.0, "s", 1.5, 1.0, False)]
    steps = [
        step("well", "print('hello')", figures=lambda: kept[:1]),
        step("slow", "import subprocess; subprocess.run(['sleep', '600'])", 0.3),
        step("wrong", "raise SystemExit(3)", figures=lambda: kept[:1]),
        step("missed", "raise SystemExit(1)", missed=1, figures=lambda: kept),
        step("limit", "", figures=lambda: kept),
        step("empty", "", figures=broken),
    ]
    monkeypatch.setattr(running, "STAGES", {"one": lambda _: steps[:3], "two": lambda _: steps[3:]})
    assert running.run(tmp_path / "results", [], device="cpu", seconds=100) == 1
    content = json.loads((tmp_path / "results" / "results.json").read_text())
    assert content["device"] == "a card"
    assert [(each["stage"], each["step"], each["status"]) for each in content["steps"]] == [
        ("one", "well", "ok"),
        ("one", "slow", "took longer than 1 s"),
        ("one", "wrong", "failed with status 3"),
        ("two", "missed", "a limit was missed"),
        ("two", "limit", "a limit was missed"),
        ("two", "empty", "left nothing to read: KeyError('train/loss')"),
    ]
    text = (tmp_path / "results" / "results.txt").read_text()
    assert re.search(r"speed +3 images/s  \[a card\]", text)
    assert re.search(r"time +2 s, ratio 1.5, limit 1 MISSED  \[a card\]", text)
    assert "hello" in (tmp_path / "results" / "log.txt").read_text()
    assert len(capsys.readouterr().out.splitlines()) == len(steps)
    assert running.run(tmp_path / "more", ["two"], device="cpu", seconds=0.5) == 1
    content = json.loads((tmp_path / "more" / "results.json").read_text())
    assert {each["status"] for each in content["steps"]} == {"no time was left"}


def test_what_is_lacking_is_taken_from_the_wheels(unpacked, tmp_path, monkeypatch):
    (unpacked / "wheels").mkdir()
    for name in ("nobody_has_this", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("print('of a wheel')")
        words = ["-m", "zipfile", "-c", unpacked / "wheels" / f"{name}-1-py3-none-any.whl", tmp_path / name]
        subprocess.run([sys.executable, *map(str, words)], check=True)
    steps = [step("well", "import nobody_has_this; import json; print(json.dumps(5))")]
    monkeypatch.setattr(running, "STAGES", {"one": lambda _: steps})
    assert running.run(tmp_path / "results", [], device="cpu", seconds=100) == 0
    assert (tmp_path / "results" / "log.txt").read_text().split("\n")[1:] == ["of a wheel", "5", ""]


def test_mistakes(unpacked, tmp_path, capsys, monkeypatch):
    assert gpu_check.main(["run", str(tmp_path / "r"), "tests", "speed"]) == 2
    assert "there is no stage 'speed': tests, modes" in capsys.readouterr().err
    (unpacked / WEIGHTS).unlink()
    assert gpu_check.main(["run", str(tmp_path / "r")]) == 2
    assert "unpack the archive of `scripts/gpu_check.sh pack`" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"--weights .* is no file"):
        packing.pack(tmp_path / "a.tar.gz", tmp_path, tmp_path / "nowhere.pth")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.filterwarnings("ignore::dml.config.ConfigWarning")
def test_the_commands_parse(device, tmp_path):
    weights = tmp_path / "weights.pth"
    weights.touch()
    setting = Setting(device, tmp_path, tmp_path / "few.csv", weights, tmp_path)
    steps = [step for stage in STAGES.values() for step in stage(setting)]
    programs = {"code/train.py": 0, "scripts/benchmark.py": 0, "scripts/gpu_checks/collectives.py": 0}
    for python, program, *words in (step.words for step in steps):
        assert python == sys.executable
        if program == "-m":
            assert words[:3] == ["pytest", "-m", "gpu"]
            assert {Path(word).name for word in words[6:]} >= {"test_loss_contract.py", "test_checkpoint.py"}
            continue
        programs[str(Path(program).relative_to(ROOT))] += 1
        if Path(program).name == "train.py":
            parse_train(words)
        elif Path(program).name == "benchmark.py":
            args = benchmark.create_parser().parse_args(words)
            assert args.device.type == device and args.full == (device == "cuda")
            assert [BENCHMARKS.canonical(name) for name in args.names] == args.names
    assert all(programs.values())


def test_all_of_it_fits_and_the_page_says_how_long_each_stage_takes(tmp_path):
    setting = Setting("cuda", tmp_path, tmp_path, tmp_path, tmp_path)
    seconds = {name: sum(step.seconds for step in stage(setting)) for name, stage in STAGES.items()}
    page = (ROOT / "docs" / "speed.md").read_text()
    said = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", page, re.MULTILINE)
    assert {name: int(number) for name, number in said} == seconds
    assert sum(seconds.values()) <= gpu_check.SECONDS


def test_a_mode_is_held_against_float32(tmp_path):
    setting = Setting("cuda", tmp_path, tmp_path, tmp_path, tmp_path)
    for name, loss in (("32-true", 4.0), ("bf16-mixed", 4.1), ("16-mixed", 4.3), ("compile", float("nan"))):
        folder = tmp_path / "cars" / name
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text(json.dumps({"epoch": 1, "train/loss": loss}) + "\n{}\n")
    found = {step.name: step.figures()[0] for step in STAGES["modes"](setting)}
    assert {name: figure.ok for name, figure in found.items()} == {
        "32-true": True,
        "bf16-mixed": True,
        "16-mixed": False,
        "compile": False,
    }
    assert found["bf16-mixed"].ratio == pytest.approx(1.025)


def test_the_archive(tmp_path, monkeypatch):
    for number in range(4):
        (tmp_path / "cars196" / f"{number}").mkdir(parents=True)
        for image in range(2):
            colour = (60 * number, 100 * image, 0)
            Image.new("RGB", (50, 40), colour).save(tmp_path / "cars196" / f"{number}" / f"{image}.png")
    (tmp_path / "weights.pth").write_text("weights")
    wheel = tmp_path / "timm-1-py3-none-any.whl"
    wheel.touch()
    monkeypatch.setattr(packing, "_code", lambda: [ROOT / "scripts" / "gpu_check.sh"])
    monkeypatch.setattr(packing, "_wheels", lambda _: [wheel])
    monkeypatch.setattr(packing, "_git", lambda *_: "abc-dirty")
    archive = tmp_path / "a.tar.gz"
    with pytest.warns(UserWarning, match="official"):
        said = packing.pack(archive, tmp_path, tmp_path / "weights.pth")
    assert "4 images of 2 classes" in said
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "there", filter="data")
    root = tmp_path / "there" / FOLDER
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    images = {f"{IMAGES}/class_{label:03d}/{index:05d}.jpg" for label, index in ((0, 0), (0, 1), (1, 2), (1, 3))}
    assert files == images | {"scripts/gpu_check.sh", WEIGHTS, "wheels/timm-1-py3-none-any.whl", "COMMIT"}
    assert (root / "COMMIT").read_text() == "abc-dirty"
    image = Image.open(root / IMAGES / "class_001" / "00003.jpg")
    assert image.size == (112, 112)
    assert image.getpixel((50, 50)) == pytest.approx((60, 100, 0), abs=3)
    rows = running.few_of(root / IMAGES, tmp_path).read_text().splitlines()
    assert rows[0] == "path,label,split" and len(rows) == 5
    monkeypatch.setattr(packing, "MOST_BYTES", 100)
    with pytest.warns(UserWarning), pytest.raises(UserError, match=r"more than 0$"):
        packing.pack(tmp_path / "b.tar.gz", tmp_path, tmp_path / "weights.pth")
    assert not (tmp_path / "b.tar.gz").exists()


def test_what_processes_exchange_with_one(tmp_path):
    program = ROOT / "scripts" / "gpu_checks" / "collectives.py"
    done = subprocess.run([sys.executable, program, "gloo"], capture_output=True, text=True)
    assert done.stdout == "gloo, one process on cpu: as without\n", done.stderr
    assert Path(stages.ROOT) == ROOT
