"""A row of docs/results.md, run by scripts/reproduce.sh, from the command to the cell of the table."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from entrypoints import ROOT
from make_scripts import fill_tables, measured_rows, read_table
from small_plan import laid_out

SCRIPTS = [ROOT / "scripts" / f"{path}.sh" for path in read_table()]
ROW = "cub/proxy_anchor_resnet50"
QUICK = (
    "--model resnet18 --pretrained 0 --embedding-size 8 --crop-size 24 --resize 24 --batch-size 20 --epochs 1 --warm 0"
)


def reproduce(row: str, *words: str, record: Path) -> subprocess.CompletedProcess[str]:
    places = {"RECORD": str(record), "LOGS": str(record.parent / "logs"), "WANDB_MODE": "disabled"}
    line = ["bash", str(ROOT / "scripts" / "reproduce.sh"), row, *words]
    return subprocess.run(line, env=os.environ | places, capture_output=True, text=True, timeout=400)


@pytest.mark.slow
def test_from_the_command_to_the_table(digits, tmp_path):
    record = tmp_path / "rows.jsonl"
    data = laid_out(digits, tmp_path)
    words = (*QUICK.split(), "--data-dir", str(data), "--workers", "0", "--wandb", "disabled", "--gpu-id", "0")
    done = reproduce(ROW, *words, record=record)
    assert done.returncode == 0, done.stderr
    (line,) = map(json.loads, record.read_text().splitlines())
    data_and_name, _, changed = line["run"].partition("__changed_")
    assert data_and_name == "cub/cub__proxy_anchor_resnet50__seed_published"
    assert changed.isdigit()
    assert not measured_rows(record)  # another network is no row
    recall = 100 * line["lines"][-1]["eval/recall_at_1"]
    assert str(tmp_path) not in record.read_text()
    again = reproduce(ROW, *words, record=record)
    assert "is in" in again.stdout
    assert len(record.read_text().splitlines()) == 1
    record.write_text(json.dumps(line | {"run": data_and_name}))
    found = read_table(record=record)[ROW].result
    assert found.measured == f"R@1 {recall:.2f}"
    assert found.measured_how == "best epoch on the test split, 1 seed, results/rows.jsonl"
    page = (ROOT / "docs" / "results.md").read_text()
    before = "| CUB | Proxy-Anchor | ResNet-50, 512 | 69.9 | not yet run |"
    assert before in page
    assert before.replace("not yet run", f"{recall:.2f}") in fill_tables(page, read_table(record=record))


def test_seeds_are_averaged(tmp_path):
    record = tmp_path / "rows.jsonl"
    config = {"optim": {"epochs": 2}, "evaluation": {"select_metric": "recall_at_1"}}
    for seed, value in ((1, 0.6), (2, 0.62)):
        lines = [{"epoch": 1, "eval/recall_at_1": value}, {"epoch": 2, "eval/recall_at_1": value - 0.1}]
        told = {"config": config | {"run": {"seed": seed}}, "lines": lines, "baselines": {}}
        line = {"run": f"cub/cub__idml_resnet50__seed_{seed}", **told}
        with record.open("a") as file:
            file.write(json.dumps(line) + "\n")
    (found,) = measured_rows(record).values()
    assert found["measured"] == "R@1 61.00 ± 1.41"
    assert "2 seeds" in found["measured_how"]


def test_what_was_stopped_is_continued_by_the_program_that_began_it():
    """Which reproduce.sh reads from the script's last line, as here."""
    for script in SCRIPTS:
        (program,) = re.findall(r"^exec .*/(code/\w+\.py)", script.read_text(), re.MULTILINE)
        line = ["sed", "-n", r"s/^exec .*\/\(code\/[a-z_]*\.py\).*/\1/p", str(script)]
        assert subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip() == program
    assert line[2] in (ROOT / "scripts" / "reproduce.sh").read_text()


@pytest.mark.parametrize("row", ["", "cub/no_such_row", "../reproduce", "--help"])
def test_another_row_is_answered_with_the_rows(row, tmp_path):
    done = reproduce(row, record=tmp_path / "rows.jsonl")
    assert done.returncode == 2
    assert ROW in done.stderr
    assert not (tmp_path / "rows.jsonl").exists()
