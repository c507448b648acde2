"""What papers report stands beside ours where a run is what the paper ran."""

from __future__ import annotations

import csv
import io
import shlex
import warnings

import pytest
from made_runs import make_run, write_record

from dml.cli.classify import parse_classify
from dml.cli.report import with_used_settings
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.report.groups import group_runs
from dml.report.reading import read_runs
from dml.report.reported import reported_of
from dml.report.runs import Run, flat
from dml.report.summary import explain, summarise
from dml.report.tables import FORMATS
from make_scripts import read_table

PARSERS = {
    "train.py": parse_train,
    "train_target.py": parse_target,
    "main.py": parse_stml,
    "classify.py": parse_classify,
}
KEYS = {"MAP@R": "map_at_r", "NMI": "nmi", "RP": "r_precision", "top-1": "top_1"}
CASES = [
    (path, more, result.figures())
    for path, script in read_table().items()
    for more, result in {"": script.result, **script.variants}.items()
    if result.reported
]


@pytest.mark.parametrize(("path", "more", "figures"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_script_s_run_finds_the_figures_of_its_paper(path, more, figures, monkeypatch):
    script = read_table()[path]
    words = shlex.split(" ".join([*script.flags, more]).replace("$root/", ""))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = PARSERS[script.program](words).config
    (run,) = with_used_settings([Run(path, flat(config.record()), {1: {}})])
    found = reported_of(run.config)
    expected = {KEYS.get(name) or name.replace("R@", "recall_at_"): float(value) for name, value in figures.items()}
    assert {name: round(100 * value, 3) for name, value in found.metrics.items()} == expected
    assert found.paper == script.paper


@pytest.mark.parametrize(
    "words",
    [
        "--loss Proxy_Anchor --dataset cub --model resnet50 --embedding-size 128",
        "--loss Proxy_Anchor --dataset cub --data-name birds",
        "--loss Proxy_Anchor --dataset cub --ema-teacher",
        "--loss Proxy_Anchor --dataset cub --mixup 1",
        "--loss Proxy_Anchor_lsd --dataset cub",
        "--loss Proxy_NCA --dataset cub",
        "--loss Proxy_Anchor --dataset glyphs",
    ],
)
def test_other_runs_find_none(words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = parse_train(words.split()).config
    assert reported_of(flat(config.record())) is None


@pytest.fixture
def runs(tmp_path):
    """Two of Proxy-Anchor on CUB as published, one of another embedding size."""
    for name, values in (("a", {"seed": 0}), ("b", {"seed": 1}), ("c", {"embedding_size": 64})):
        settings = {"dataset": "cub", "model": "bn_inception", "embedding_size": 512, "select_metric": "recall_at_1"}
        folder = make_run(tmp_path / name, loss="Proxy_Anchor", epochs=2, **settings | values)
        lines = [{"epoch": e, "eval/recall_at_1": 0.6 + e / 100, "eval/f1": 0.5} for e in (1, 2)]
        write_record(folder, lines)
    return read_runs([str(tmp_path)])[0]


def table(runs, format: str) -> str:
    groups, metrics = group_runs(runs), ["recall_at_1", "f1"]
    return FORMATS[format](summarise(groups, metrics), metrics, caption=explain(groups))


def test_a_column_beside_ours(runs):
    lines = table(runs, "md").splitlines()
    assert lines[0] == "| embedding_size | epoch | n | R@1 (%) | R@1 reported (%) | F1 (%) |"
    assert [line.split(" | ")[4] for line in lines[2:6]] == ["69.10", "–", "–", "–"]
    assert (
        "Reported: the figure of the paper, of its best epoch on the test split (Kim, Kim, Cho, Kwak: Proxy"
        in lines[-1]
    )
    rows = list(csv.DictReader(io.StringIO(table(runs, "csv"))))
    assert [row["recall_at_1_reported"] for row in rows] == ["0.691", "", "", ""]
    assert [float(row["f1_mean"]) for row in rows] == [0.5] * 4
    assert r"& R@1 reported (\%) &" in table(runs, "latex")
    assert {line.count("&") for line in table(runs, "latex").splitlines() if line.endswith(r"\\")} == {5}
    assert max(map(len, table(runs, "text").splitlines())) <= 80


def test_no_column_where_nothing_matches(runs):
    text = table([run for run in runs if run.config["model.embedding_size"] == 64], "md")
    assert "eported" not in text
