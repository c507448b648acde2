"""The dashboard of a project has what it should show, before anybody is asked for a login."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from dml.errors import UserError
from dml.tracking import TIMINGS
from entrypoints import ROOT

FILE = ROOT / "scripts" / "wandb" / "workspace.py"
pytest.importorskip("wandb_workspaces")


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("workspace_program", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(program, **given):
    how = {"name": "n", "metrics": ["recall@1", "dists@intra"], "split": "eval"}
    return program.build("team/birds", **how | given)


def test_sections_and_panels(program):
    found = build(program)
    assert (found.entity, found.project, found.name) == ("team", "birds", "n")
    curves, figures, pictures, throughput = found.sections
    assert [panel.y for panel in curves.panels] == [["eval/recall_at_1"], ["eval/dists_at_intra"], ["train/loss"]]
    for panel in (*curves.panels, *throughput.panels):
        assert panel.x == "epoch"
        assert (panel.groupby_aggfunc, panel.groupby_rangefunc) == ("mean", "stddev")
    shown = [panel.metrics[0].name for panel in figures.panels]
    assert shown == [
        "eval/recall_at_1.max",
        "eval/recall_at_1.last",
        "eval/dists_at_intra.min",
        "eval/dists_at_intra.last",
    ]
    assert pictures.panels[0].media_keys == ["pictures/gallery"]
    assert {panel.y[0] for panel in throughput.panels} <= set(TIMINGS)


def test_runs_are_grouped_and_the_table_has_best_and_last(program):
    runs = build(program, split="val").runset_settings
    assert [metric.name for metric in runs.groupby] == ["Group"]
    assert runs.pinned_columns[:3] == ["run:displayName", "summary:val/recall_at_1.max", "summary:val/recall_at_1.last"]
    (order,) = runs.order
    assert (order.item.name, order.ascending) == ("val/recall_at_1.max", False)


def test_it_can_be_sent(program):
    """As the server gets it."""
    sent = build(program)._to_model().model_dump_json(by_alias=True)
    assert all(key in sent for key in ("eval/recall_at_1", "pictures/gallery", "train/images_per_second", "stddev"))


def test_mistakes_are_one_line(program):
    with pytest.raises(UserError, match="birds: it reads ENTITY/PROJECT"):
        program.build("birds", name="n", metrics=["recall_at_1"], split="eval")
    with pytest.raises(UserError, match="--metrics recal_at_1: there is no such metric"):
        build(program, metrics=["recal@1"])


def test_without_the_package_one_line_says_how_to_get_it(program, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("wandb_workspaces")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(UserError, match=r'pip install "\.\[wandb\]"'):
        build(program)


def test_without_a_login_nothing_is_sent(program, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as ended:
        program.main(["team/birds"])
    assert ended.value.code == 2
    assert "no credentials for https://api.wandb.ai: log in with `wandb login`" in capsys.readouterr().err
