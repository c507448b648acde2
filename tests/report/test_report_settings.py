"""Runs are told apart by what they did: not by what was typed, nor by which version wrote it down."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from made_runs import make_run, write_record

from dml.cli.stml import parse_stml
from dml.cli.train import parse_train
from dml.report.groups import CHANGES_NOTHING, group_runs
from dml.report.reading import read_runs
from dml.report.settings import with_all_settings
from dml.report.summary import explain
from entrypoints import ROOT, run_inside


def recorded(folder, config, change=None) -> None:
    """A run in ``folder`` with this configuration, after ``change`` of what config.json holds."""
    make_run(folder, epochs=config.optim.epochs)
    stored = json.loads(config.to_json())
    if change is not None:
        change(stored)
    (folder / "config.json").write_text(json.dumps(stored))


def trained(seed: int, *words: str):
    return parse_train(["--seed", str(seed), "--epochs", "2", "--warm", "0", "--lr-decay-step", "1", *words]).config


def as_of_today_s_predecessor(stored: dict) -> None:
    """What was typed, and nulls for the rest."""
    stored["loss"] |= {"options": {}}
    del stored["loss"]["complete"]
    stored["data"] |= {"sampler": None, "crop_size": None}
    stored["optim"] |= {"proxy_lr_scale": None, "head_lr": None}
    stored["run"]["group"] = None


def without_some(stored: dict) -> None:
    """As a version that did not have them yet."""
    del stored["loss"]["options"]["alpha"], stored["data"]["flip"], stored["run"]["compile"]


def groups_of(folder):
    return group_runs(with_all_settings(read_runs([str(folder)])[0]))


def test_a_typed_default_and_an_older_version_are_the_same_group(tmp_path, capsys):
    recorded(tmp_path / "plain", trained(0))
    recorded(tmp_path / "typed", trained(1, "--alpha", "32", "--proxy-lr-scale", "100", "--crop-size", "224"))
    recorded(tmp_path / "older", trained(2), as_of_today_s_predecessor)
    recorded(tmp_path / "oldest", trained(3), without_some)
    (group,) = groups_of(tmp_path)
    assert len(group.runs) == 4
    assert "differ" not in explain([group])
    printed = run_inside("report.py", tmp_path, "--metrics", "mAP_c", status=0, capsys=capsys)
    assert "| last (2) | 4 |" in printed.out
    assert not printed.err
    recorded(tmp_path / "other", trained(4, "--alpha", "16"), None)
    assert sorted((group.fields["alpha"], len(group.runs)) for group in groups_of(tmp_path)) == [("16", 1), ("32", 4)]


def test_runs_without_labels_too(tmp_path):
    words = ("--recipe", "stml", "--dataset", "folder", "--data-dir", str(tmp_path / "moved"), "--epochs", "2")
    config = parse_stml(words).config
    recorded(tmp_path / "new", config)

    def older(stored):
        as_of_today_s_predecessor(stored)
        stored["data"]["crop_size"] = 227  # the recipe's
        stored["optim"]["head_lr"] = 1e-4
        stored["self_taught"]["unlabelled"] = None

    recorded(tmp_path / "older", config, older)
    assert len(groups_of(tmp_path)) == 1


def test_what_chose_the_best_epoch_is_on_record(tmp_path):
    """Held-out images may come with the data, so that no flag tells of them."""
    for name, select in (("older", None), ("newer", "val")):
        recorded(tmp_path / name, trained(0), lambda stored, to=select: stored["evaluation"].update(select=to))
        write_record(tmp_path / name, [{"epoch": epoch, "val/e_recall_at_1": 0.5} for epoch in (1, 2)])
    recorded(tmp_path / "test", trained(1), lambda stored: stored["evaluation"].update(select="test"))
    assert [(group.fields["select"], len(group.runs)) for group in groups_of(tmp_path)] == [("val", 2), ("test", 1)]


@pytest.mark.parametrize(
    "words",
    [
        ("--remark", "again"),
        ("--eval-first",),
        ("--metrics", "recall", "nmi"),
        ("--train-metrics", "--run-name", "b", "--group", "c"),
        ("--workers", "0", "--pictures", "0", "--save", "0"),
    ],
    ids=" ".join,
)
def test_what_changes_nothing(tmp_path, words):
    recorded(tmp_path / "a", trained(0))
    recorded(tmp_path / "b", trained(1, *words))
    (group,) = groups_of(tmp_path)
    assert "differ" not in explain([group])


def test_every_name_of_what_changes_nothing_is_a_setting():
    configs = [trained(0, "--loss", "triplet"), trained(0, "--loss", "triplet", "--batch_mining", "rho_distance")]
    configs.append(parse_stml([]).config)
    known = {"recipe", "transfer.source_model", "transfer.source_embedding_size"}
    for config in configs:
        stored = json.loads(config.to_json())
        sections = {name: section for name, section in stored.items() if isinstance(section, dict)}
        known |= {f"{name}.{setting}" for name, section in sections.items() for setting in section}
        known |= {f"loss.options.{flag}" for flag in stored["loss"]["options"]}
    assert set(CHANGES_NOTHING) <= known


def test_a_configuration_that_this_version_does_not_know_stays_as_it_is(tmp_path):
    recorded(tmp_path / "a", trained(0))

    def younger(stored):
        stored["optim"]["twist"], stored["evaluation"]["select"] = 3, "test"

    recorded(tmp_path / "b", trained(1), younger)
    assert [group.fields for group in groups_of(tmp_path)] == [{"twist": "–"}, {"twist": "3"}]


def test_torch_is_loaded_only_where_something_lacks(tmp_path):
    for seed in range(2):
        recorded(tmp_path / str(seed), trained(seed, "--run-name", "a") if seed else trained(seed))
    program = (
        "import sys; from dml.report.reading import read_runs; from dml.report.settings import with_all_settings;"
        f" with_all_settings(read_runs([{str(tmp_path)!r}])[0]); print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, cwd=ROOT / "code", capture_output=True, text=True).stdout.strip() == "False"
