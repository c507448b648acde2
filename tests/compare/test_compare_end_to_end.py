"""A comparison as it is run, against a plain script; what it never looks at; killed, edited, shared."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torchvision.transforms.v2.functional import resize

from dml.api import running
from dml.compare.commands import Places, trial_command
from dml.compare.plan import read_plan
from dml.data.images import UnreadableImageError
from dml.models import load_model_checkpoint
from entrypoints import run, start, wait_for

pytest.importorskip("optuna")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def compare(plan, out, benchmark, *words: str) -> str:
    return run("compare.py", plan, "--out", out, "--data-dir", benchmark, *words).stdout


@pytest.fixture(scope="module")
def done(plan_file, benchmark, tmp_path_factory) -> tuple[Path, str]:
    """A finished comparison: its folder and what it said."""
    out = tmp_path_factory.mktemp("compare") / "whole"
    yield out, compare(plan_file, out, benchmark)
    shutil.rmtree(out)


@pytest.fixture(scope="module")
def table(done) -> dict[tuple[str, ...], float]:
    """Its figures, before any test goes on with it."""
    return figures(done[0])


def figures(out: Path) -> dict[tuple[str, ...], float]:
    """(metric, column, method, seed, fold) → value."""
    with (out / "report.csv").open(newline="") as file:
        return {tuple(row)[:5]: float(row[5]) for row in list(csv.reader(file))[1:]}


def runs_of(out: Path, prefix: str) -> list[Path]:
    return sorted(folder for folder in (out / "runs" / "cub").iterdir() if folder.name.startswith(prefix))


def val_curve(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["val/map_at_r"] for line in lines if "val/map_at_r" in line]


def embeddings(folder: Path, benchmark: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of the test classes."""
    model = load_model_checkpoint(folder / "best.pt").model
    images, labels = [], []
    for number, place in enumerate(sorted((benchmark / "cub200" / "images").iterdir())[5:]):
        for file in sorted(place.iterdir()):
            pixels = torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)
            small = resize(pixels, [24, 24]) / 255
            images.append((small - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])
            labels.append(number)
    with torch.no_grad():
        return model(torch.stack(images)).embedding.double().numpy(), np.array(labels)


def judged(rows: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """R@1 and MAP@R by angle, query by query."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similar = rows @ rows.T
    np.fill_diagonal(similar, -np.inf)
    first, precision = [], []
    for query, order in enumerate(np.argsort(-similar, axis=1, kind="stable")):
        hits = labels[order] == labels[query]
        number = (labels == labels[query]).sum() - 1
        first.append(hits[0])
        top = hits[:number]
        precision.append((top * np.cumsum(top) / np.arange(1, number + 1)).sum() / number)
    return float(np.mean(first)), float(np.mean(precision))


def test_folds_seeds_concatenation_and_intervals_are_a_plain_script_s(done, benchmark):
    out, said = done
    found, singles, together = figures(out), [], []
    for seed in (1, 2):
        parts = []
        for fold in (1, 2):
            (folder,) = runs_of(out, f"plain_s{seed}_f{fold}_")
            held = np.array_split(np.random.default_rng(seed).permutation(5), 2)[fold - 1]
            with (folder / "split.csv").open(newline="") as file:
                val = {row["class"] for row in csv.DictReader(file) if row["split"] == "val"}
            assert val == {f"digit_{digit}" for digit in held}
            rows, labels = embeddings(folder, benchmark)
            parts.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
            recall, mean_precision = judged(rows, labels)
            assert found["recall_at_1", "test", "plain", str(seed), str(fold)] == pytest.approx(recall, abs=0.01)
            value = found["map_at_r", "test", "plain", str(seed), str(fold)]
            assert value == pytest.approx(mean_precision, abs=2e-3)
            singles.append(value)
            val_value = found["map_at_r", "validation", "plain", str(seed), str(fold)]
            assert val_value == max(val_curve(folder))
        value = found["map_at_r", "test concatenated", "plain", str(seed), ""]
        assert value == pytest.approx(judged(np.hstack(parts), labels)[1], abs=2e-3)
        together.append(value)
    table = (out / "report.md").read_text().split("## MAP@R")[1]
    row = next(line for line in table.splitlines() if line.startswith("| plain"))
    for values in (singles, together):
        half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
        assert f"{100 * np.mean(values):.2f} ± {100 * half:.2f}" in row
    assert max(map(len, said.split("2-fold cross")[1].split("report.md")[0].splitlines())) <= 80


def test_the_best_trial_by_its_mean_over_folds_is_trained_again(done):
    out, _ = done
    values, settings = defaultdict(list), {}
    for folder in runs_of(out, "anchor_t"):
        result = json.loads((folder / "result.json").read_text())
        config = json.loads((folder / "config.json").read_text())
        trial = folder.name.split("_")[1]
        settings[trial] = (config["optim"]["lr"], config["loss"]["options"]["mrg"])
        assert not list(folder.glob("*.pt"))
        if result["state"] == "finished":
            values[trial].append(max(val_curve(folder)))
    assert len(settings) == 3
    means = {trial: np.mean(of_folds) for trial, of_folds in values.items() if len(of_folds) == 2}
    best = settings[max(means, key=means.get)]
    for folder in runs_of(out, "anchor_s"):
        config = json.loads((folder / "config.json").read_text())
        assert (config["optim"]["lr"], config["loss"]["options"]["mrg"]) == best
    assert len(runs_of(out, "anchor_s")) == 4


def test_runs_record_nothing_of_the_test_split(done):
    out, _ = done
    records = list(out.glob("runs/cub/*/metrics.jsonl"))
    assert len(records) >= 8
    assert not any("eval/" in file.read_text() for file in records)


@pytest.fixture(scope="module")
def unreadable(benchmark, tmp_path_factory) -> Path:
    """The same data with test images that nobody can open."""
    folder = tmp_path_factory.mktemp("unreadable")
    shutil.copytree(benchmark / "cub200" / "images", folder / "cub200" / "images")
    for place in sorted((folder / "cub200" / "images").iterdir())[5:]:
        for file in place.iterdir():
            file.write_bytes(b"no image")
    return folder


def test_nothing_opens_a_test_image_before_all_is_trained(plan_file, unreadable, tmp_path):
    file = tmp_path / "short.toml"
    head, *_ = plan_file.read_text().split("[methods.plain]")
    file.write_text(head.replace("trials = 3", "trials = 1").replace("seeds = [1, 2]", "seeds = [1]"))
    ended = run("compare.py", file, "--out", tmp_path / "out", "--data-dir", unreadable, status=2)
    assert "anchor_s1_" in ended.stderr
    assert "digit_5" in ended.stderr
    results = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("runs/cub/*/result.json")]
    assert [result["state"] for result in results] == ["finished"] * 4  # a trial and a seed on both folds


def test_a_run_that_looks_would_be_found_out(plan_file, unreadable, tmp_path):
    """What the test before this one relies on."""
    plan = read_plan(plan_file)
    line = trial_command(plan, plan.methods[0], 0, {}, 1).line(Places(tmp_path, ("--data-dir", str(unreadable))), "cub")
    line[line.index("--eval-test-every") + 1] = "1"
    with pytest.raises(UnreadableImageError, match="digit_5"):
        running.train(line)


def test_an_edited_plan_runs_what_is_new(done, table, plan_file, benchmark, tmp_path):
    out, _ = done
    before = {file: file.stat().st_mtime_ns for file in out.glob("runs/cub/*/result.json")}
    file = tmp_path / "digits.toml"
    more = '\n[methods.other]\nflags = "--loss MS --lr 1e-3"\n'
    file.write_text(plan_file.read_text().replace("--loss MS --lr 1e-2", "--loss MS --lr 3e-2") + more)
    said = compare(file, out, benchmark)
    assert "anchor: 3 of 3 trials, 4 of 4 final runs" in said
    assert "other: 0 of 4 final runs" in said
    assert "4 final runs are of other settings than the plan's" in said
    after = {file: file.stat().st_mtime_ns for file in out.glob("runs/cub/*/result.json")}
    assert len(after) == len(before) + 8
    assert {file: after[file] for file in before} == before
    same = {key: value for key, value in figures(out).items() if key[2] == "anchor"}
    assert same == {key: value for key, value in table.items() if key[2] == "anchor"}


def test_killed_and_stopped_at_any_moment_by_two_processes_it_ends_the_same(table, plan_file, benchmark, tmp_path):
    out = tmp_path / "killed"
    rng = np.random.default_rng(0)
    for number in range(1, 4):
        words = ("compare.py", plan_file, "--out", out, "--data-dir", benchmark)
        first, second = start(*words), start(*words)
        wait_for(lambda: len(list(out.glob("runs/cub/*/config.json"))) >= 2 * number, first, 400)  # noqa: B023
        with suppress(subprocess.TimeoutExpired):  # it works still
            second.wait(float(rng.uniform(0, 2)))
        for process, by in ((first, signal.SIGKILL), (second, [signal.SIGKILL, signal.SIGTERM][number % 2])):
            process.send_signal(by)
            process.communicate(timeout=400)
    compare(plan_file, out, benchmark, "--jobs", "2")
    assert figures(out) == table


def test_a_run_that_fails_ends_the_comparison_with_its_reason(plan_file, tmp_path):
    ended = run("compare.py", plan_file, "--out", tmp_path / "out", "--data-dir", tmp_path, status=2)
    assert ended.stderr.startswith("compare.py: error: anchor_t00_f1_")
    assert "cub" in ended.stderr
