"""report.py as a command, and runs from a W&B project."""

from __future__ import annotations

import shutil
import sys
from types import SimpleNamespace

import pytest
from made_runs import make_run, write_record

from dml.cli.report import with_used_settings
from dml.report.groups import ABSENT, group_runs
from dml.report.reading import read_runs
from dml.report.wandb_runs import read_wandb_runs
from entrypoints import run_inside


def test_tables_and_pictures(tmp_path, capsys):
    for seed in range(2):
        make_run(tmp_path / "logs" / f"run_{seed}", seed=seed)
    write_record(make_run(tmp_path / "logs" / "stopped"), [])
    arguments = (tmp_path / "logs", "--metrics", "e_recall@1", "mAP_c", "--format", "latex", "--out", tmp_path / "out")
    printed = run_inside("report.py", *arguments, status=0, capsys=capsys)
    assert printed.out.strip() == (tmp_path / "out" / "table.tex").read_text().strip()
    assert "stopped: unfinished, 0 of 6 epochs" in printed.err
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"table.md", "table.tex", "table.csv", "curves.png", "bars.png", "correlation.png", "scatter.png"}


def test_several_runs_of_one_seed_are_no_larger_n(tmp_path, capsys):
    for name, options in {"a": {}, "b": {"seed": 1}, "again": {"seed": 1, "level": 0.7}}.items():
        make_run(tmp_path / "logs" / name, **options)
    said = run_inside("report.py", tmp_path / "logs", status=2, capsys=capsys).err
    again, other = tmp_path / "logs" / "again", tmp_path / "logs" / "b"
    assert f"seed 1 would count 2 times, with the runs {again}, {other}. A mean over seeds takes each once" in said
    assert said.rstrip().endswith(f"--leave-out {other}.")
    table = run_inside("report.py", tmp_path / "logs", "--leave-out", other, status=0, capsys=capsys).out
    assert "| 2 |" in table
    shutil.copytree(again, tmp_path / "logs" / "copy")
    words = (tmp_path / "logs", "--leave-out", other)
    assert "(copies of one run, by their records)" in run_inside("report.py", *words, status=2, capsys=capsys).err
    make_run(tmp_path / "logs" / "faster", seed=0, lr=1e-3)
    words = (*words, tmp_path / "logs" / "copy", "--group-by", "loss")
    said = run_inside("report.py", *words, status=2, capsys=capsys).err
    assert "(they differ in lr). A mean over seeds takes each once: add that to --group-by, or leave out all" in said
    assert run_inside("report.py", *words, "lr", status=0, capsys=capsys).out.count("| triplet |") == 4


def test_settings_that_an_entry_point_does_not_use_are_no_difference(tmp_path):
    make_run(tmp_path / "0", loss="triplet", embedding_size=64, p=0.5)
    make_run(tmp_path / "1", loss="cross_entropy", sections=("classification",), embedding_size=512, lr=1e-3)
    make_run(tmp_path / "2", loss="stml", sections=("self_taught",), embedding_size=512, p=0.3)
    runs, _ = read_runs([str(tmp_path)])
    retrieval, classifier, self_taught = with_used_settings(runs)
    assert retrieval == runs[0]
    assert not {"model.embedding_size", "optim.warm", "evaluation.eval_distance"} & set(classifier.config)
    assert {"classification.mix", "optim.lr", "model.model"} <= set(classifier.config)
    assert self_taught.config["model.embedding_size"] == 512 and "data.p" not in self_taught.config
    groups = group_runs([retrieval, classifier], ["embedding_size", "loss"])
    assert [group.fields["embedding_size"] for group in groups] == ["64", ABSENT]


def test_groups_without_held_out_images_are_counted(tmp_path, capsys):
    for loss in ("triplet", "ms", "contrastive"):
        folder = make_run(tmp_path / loss, loss=loss)
    write_record(folder, [{"epoch": epoch, "val/nmi": 0.5} for epoch in range(7)])
    printed = run_inside("report.py", tmp_path, "--split", "val", status=0, capsys=capsys)
    assert printed.out.count("| contrastive |") == 2
    assert "triplet" not in printed.out
    assert "having none of these figures: 2 groups." in printed.out
    printed = run_inside("report.py", tmp_path, "--split", "val", "--format", "csv", status=0, capsys=capsys)
    assert "2 groups" in printed.err and "2 groups" not in printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{logs}", "--wandb", "a/b"], "leave out the folders"),
        (["{logs}", "--metrics", "nmi"], "--metrics nmi: no run has it"),
        (["{logs}/none"], "no run folder there"),
        (["{logs}", "--leave-out", "{logs}/none"], "no run folder there"),
        (["{logs}/stopped"], "no finished run is left"),
        (["{logs}", "--out", "{logs}/run/config.json"], "cannot make anything in"),
        (["{logs}", "--format", "html"], "invalid choice"),
        (["--wandb", "project"], "it reads ENTITY/PROJECT"),
    ],
)
def test_mistakes_are_named(tmp_path, capsys, arguments, message):
    make_run(tmp_path / "run")
    write_record(make_run(tmp_path / "stopped"), [])
    printed = run_inside("report.py", *(a.format(logs=tmp_path) for a in arguments), status=2, capsys=capsys)
    assert message in printed.err


def test_wandb_without_credentials(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"no credentials for https://api\.wandb\.ai; log in with `wandb login`"):
        read_wandb_runs("entity/project")


@pytest.fixture
def project(monkeypatch):
    """What W&B's API answers, as a list to fill."""
    runs = []
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    api = SimpleNamespace(runs=lambda path: runs if path == "me/birds" else 1 / 0)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Api=lambda: api))
    return runs


def test_wandb_runs(project):
    config = {"optim": {"epochs": 1, "lr": 0.1}, "evaluation": {"select_metric": "nmi"}, "run": {"seed": 3}}
    history = [{"epoch": 1, "train/loss": 0.5, "_step": 0}, {"epoch": 1, "eval/nmi": 0.25}]
    project.append(SimpleNamespace(name="good", config=config, scan_history=lambda: iter(history)))
    project.append(SimpleNamespace(name="early", config=config, scan_history=lambda: iter([])))
    runs, skipped = read_wandb_runs("me/birds")
    assert [(run.name, run.epochs, run.best_epoch) for run in runs] == [
        ("me/birds/good", {1: {"train/loss": 0.5, "eval/nmi": 0.25}}, 1)
    ]
    assert runs[0].config["optim.lr"] == 0.1
    assert skipped == {"me/birds/early": "unfinished, 0 of 1 epochs on record"}
    assert read_wandb_runs("me/birds", ["good", "me/birds/early"]) == ([], {})


def test_wandb_runs_are_told_apart_by_their_data(project):
    history = [{"epoch": 1, "eval/nmi": 0.25}]
    for name, digest in {"one": "a" * 64, "two": "b" * 64, "old": None}.items():
        data = {"dataset": "folder", "data_dir": "/photos", "data_name": "photos"}
        config = {"optim": {"epochs": 1}, "run": {"seed": 3}, "data": data | ({"digest": digest} if digest else {})}
        project.append(SimpleNamespace(name=name, config=config, scan_history=lambda: iter(history)))
    runs, _ = read_wandb_runs("me/birds")
    assert [group.fields for group in group_runs(runs)] == [
        {"digest": "a" * 12},
        {"digest": "b" * 12},
        {"digest": "unknown, in /photos"},
    ]


def test_what_wandb_refuses_is_one_line(project):
    with pytest.raises(ValueError, match="--wandb me/fish: division by zero"):
        read_wandb_runs("me/fish")
