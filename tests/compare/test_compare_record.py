"""Final runs on all training classes, networks that begin with those of another method, and the record of it all."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from dml.compare.record import Record
from dml.errors import UserError
from entrypoints import run

pytest.importorskip("optuna")
PLAN = """
[data]
flags = "--dataset cub --workers 0"
[network]
flags = "--model mobilenet_v3_small --pretrained 0 --crop-size 32 --resize 32 --batch-size 20 --embedding-size 8"
[budget]
epochs = 2
trials = 1
[protocol]
folds = 2
search_folds = 1
final = "all"
seeds = [2]
generation = 1
[methods.anchor]
flags = "--recipe proxy_anchor --loss Proxy_Anchor --warm 0 --baselines 1"
[methods.anchor.search]
lr = {low = 1e-4, high = 1e-2, log = true}
[methods.small]
program = "train_target.py"
source = "anchor"
flags = "--embedding-size 4"
[methods.small.search]
lr = {choices = [1e-4, 1e-3]}
[methods.further]
source = "anchor"
flags = "--recipe proxy_anchor --loss MS --lr 1e-4 --warm 0"
"""


def compare(plan: Path, out: Path, benchmark: Path, *words: object) -> str:
    return run("compare.py", plan, "--out", out, "--data-dir", benchmark, *words).stdout


@pytest.fixture(scope="module")
def done(benchmark, tmp_path_factory) -> tuple[Path, Path, Path]:
    """Plan, folder and record of a finished comparison."""
    folder = tmp_path_factory.mktemp("recorded")
    plan, record = folder / "systems.toml", folder / "systems.jsonl"
    plan.write_text(PLAN)
    compare(plan, folder / "out", benchmark, "--record", record)
    yield plan, folder / "out", record
    shutil.rmtree(folder / "out")


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


def test_final_runs_are_of_all_training_classes_and_begin_with_the_source_of_their_seed(done):
    _, out, _ = done
    runs = {folder.name.rpartition("_")[0]: folder for folder in (out / "runs" / "cub").iterdir()}
    trials = {"anchor_t00_f1", "small_t00_f1"}
    finals = {f"{name}_s2" for name in ("anchor", "small", "further")}
    assert set(runs) == trials | finals | {"anchor_source_f1"}
    for name in finals:
        with (runs[name] / "split.csv").open(newline="") as file:
            splits = [row["split"] for row in csv.DictReader(file)]
        assert "val" not in splits
        lines = [json.loads(line) for line in (runs[name] / "metrics.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines if "eval/map_at_r" in line and line["epoch"]] == [2]
    best = config_of(runs["anchor_s2"])["optim"]["lr"]
    assert config_of(runs["anchor_source_f1"])["optim"]["lr"] == best
    source = str(runs["anchor_s2"] / "best.pt")
    assert config_of(runs["small_s2"])["transfer"]["source_ckpt"] == source
    assert config_of(runs["further_s2"])["model"]["init_from"] == source
    source = str(runs["anchor_source_f1"] / "best.pt")
    assert config_of(runs["small_t00_f1"])["transfer"]["source_ckpt"] == source
    report = (out / "report.md").read_text()
    assert "concatenated" not in report
    row = next(line for line in report.splitlines() if line.startswith("| anchor"))
    assert "–" not in row


def test_with_the_record_alone_nothing_is_run_again(done, benchmark, tmp_path):
    plan, out, record = done
    before = record.read_text()
    said = compare(plan, tmp_path / "out", benchmark, "--record", record)
    assert "anchor: 1 of 1 trials, 1 of 1 final runs, 1 of 1 seeds tested" in said
    assert not (tmp_path / "out" / "runs").exists()
    assert (tmp_path / "out" / "report.csv").read_text() == (out / "report.csv").read_text()
    assert record.read_text() == before


def test_the_record_tells_of_no_machine_and_makes_tables(done, benchmark, tmp_path):
    _, out, record = done
    text = record.read_text()
    assert str(benchmark) not in text
    assert str(out) not in text
    words = ("--metrics", "recall_at_1", "total_seconds", "--group-by", "method")
    ended = run("report.py", record, "--out", tmp_path / "report", *words)
    table = (tmp_path / "report" / "table.md").read_text()
    for method in ("anchor", "small", "further"):
        assert f"| {method} | last (2) | 1 |" in table, ended.stdout + table
    assert "best (" not in table
    (name,) = (json.loads(line)["run"] for line in text.splitlines() if "further_s2_" in line and "config" in line)
    run("report.py", record, "--out", tmp_path / "less", *words, "--leave-out", name)
    assert "further" not in (tmp_path / "less" / "table.md").read_text()
    assert "colour histogram" in table


def test_a_run_that_is_only_recorded_is_trained_again_where_its_network_is_needed(done, benchmark, tmp_path):
    plan, _, record = done
    shorter = tmp_path / "record.jsonl"
    kept = [line for line in record.read_text().splitlines() if "further_s" not in line]
    shorter.write_text("\n".join(kept) + "\n")
    compare(plan, tmp_path / "out", benchmark, "--record", shorter)
    again = {folder.name.rpartition("_")[0] for folder in (tmp_path / "out" / "runs" / "cub").iterdir()}
    assert again == {"anchor_s2", "further_s2"}
    assert sorted(set(map(name_of, shorter.read_text().splitlines()))) == sorted(
        set(map(name_of, record.read_text().splitlines()))
    )


def name_of(line: str) -> str:
    found = json.loads(line)
    return found.get("run") or found["judged"]


def test_a_line_that_was_being_written_is_cut_off(tmp_path):
    file = tmp_path / "record.jsonl"
    whole = '{"judged": "a", "figures": {"single": [], "concatenated": {}}}\n'
    file.write_text(whole + '{"judged": "b", "fig')
    record = Record(file)
    record.read_on()
    assert record.judged("a") is not None
    assert file.read_text() == whole


@pytest.mark.parametrize("line", ["[]", "{", '{"run": "a"}', '{"run": "a", "result": {"st": 1}}', '{"judged": "a"}'])
def test_a_damaged_record_is_refused_by_its_line(line, tmp_path):
    file = tmp_path / "record.jsonl"
    file.write_text(f'{{"judged": "a", "figures": {{"single": [], "concatenated": {{}}}}}}\n{line}\n')
    with pytest.raises(UserError, match=r"record\.jsonl, line 2"):
        Record(file).read_on()
