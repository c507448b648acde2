"""Pictures of many runs, and the coefficients on them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_runs import make_run, write_record
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

from dml.report.bars import draw_bars
from dml.report.correlation import correlations, observations, pair_counts
from dml.report.groups import Group, group_runs
from dml.report.legend import MOST_GROUPS, styles, titles
from dml.report.plots import draw_correlations, draw_curves, draw_scatter
from dml.report.reading import read_runs
from dml.report.runs import Run
from dml.report.summary import choose_metrics, summarise
from dml.report.write import write_report


def test_coefficients_are_those_of_scipy():
    points = np.random.default_rng(0).normal(size=(40, 3)).round(1)  # with ties
    points[:, 2] += points[:, 0] ** 3
    pearson, spearman = correlations(points, np.zeros(len(points)))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert pearson[i, j] == pytest.approx(stats.pearsonr(points[:, i], points[:, j]).statistic)
        assert spearman[i, j] == pytest.approx(stats.spearmanr(points[:, i], points[:, j]).statistic)


def test_coefficients_of_too_little_are_not_a_number():
    for points in (np.ones((2, 2)), np.ones((0, 2)), np.stack([np.ones(9), np.arange(9.0)], axis=1)):
        for found in correlations(points, np.zeros(len(points))):
            assert np.isnan(found[0, 1])


def test_metrics_that_rise_together_with_training_alone_do_not_go_together():
    noise = np.random.default_rng(2).normal(size=(200, 2))
    epochs = np.arange(200) % 10
    rising = noise + 10 * epochs[:, None]
    assert stats.pearsonr(rising[:, 0], rising[:, 1]).statistic > 0.95
    for found in correlations(rising, epochs):
        assert abs(found[0, 1]) < 0.2
    against = rising + np.stack([3 * noise[:, 1], -3 * noise[:, 1]], axis=1)
    for found in correlations(against, epochs):
        assert found[0, 1] < -0.7
    (alone,) = {np.isnan(found[0, 1]) for found in correlations(rising[:10], epochs[:10])}
    assert alone, "one run says nothing of what goes together within an epoch"


def test_coefficients_are_over_the_rows_that_have_both():
    points = np.random.default_rng(1).normal(size=(30, 3))
    points[:10, 0] = points[20:, 1] = np.nan
    pearson, spearman = correlations(points, np.zeros(len(points)))
    assert pearson[0, 1] == pytest.approx(stats.pearsonr(points[10:20, 0], points[10:20, 1]).statistic)
    assert spearman[2, 0] == pytest.approx(stats.spearmanr(points[10:, 0], points[10:, 2]).statistic)
    assert pair_counts(points).tolist() == [[20, 10, 20], [10, 20, 20], [20, 20, 30]]


def test_observations_are_the_epochs_with_any_of_the_metrics(tmp_path):
    make_run(tmp_path / "run", epochs=4)
    (run,) = read_runs([str(tmp_path)])[0]
    del run.epochs[2]["eval/mAP_c"]
    points = observations([run], ["e_recall_at_1", "mAP_c"])
    assert points.shape == (5, 2)
    assert points[0, 0] == run.epochs[0]["eval/e_recall_at_1"]
    assert np.argwhere(np.isnan(points)).tolist() == [[2, 1]]
    assert observations([run], ["nmi"]).shape == (0, 1)


def test_runs_with_different_metrics_are_compared_where_they_agree(tmp_path, monkeypatch):
    for name, lacks in (("a", "mAP_c"), ("b", "rho_spectrum_at_1")):
        folder = make_run(tmp_path / name, loss=name, epochs=4)
        lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
        write_record(folder, [{key: value for key, value in line.items() if lacks not in key} for line in lines])
    saved = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: saved.append(figure))
    runs, _ = read_runs([str(tmp_path)])
    metrics = ["e_recall_at_1", "mAP_c", "rho_spectrum_at_1"]
    draw_correlations(runs, metrics, tmp_path / "map.png")
    draw_scatter(group_runs(runs), metrics, tmp_path / "scatter.png")
    assert "0 to 5 points of 0 to 1 runs for a pair" in saved[0].axes[0].get_title()
    assert [axes.get_title().splitlines()[1] for axes in saved[1].axes] == ["5 points of 1 run"] * 2
    assert all(len(line.get_xdata()) in (0, 5) for axes in saved[1].axes for line in axes.lines)


def test_no_two_entries_of_a_legend_are_alike():
    long = " ".join(f"metric_{number}" for number in range(30))
    values = [f"{long} {end} {long}" for end in "ab"] + ["x" * 60 + "1", "x" * 60 + "2", "–"]
    groups = [Group({"dataset": "cub", "head": value}, (None,)) for value in values]
    found = titles(groups, width=50)
    assert len(set(found)) == len(groups)
    assert "cub" not in " ".join(found)
    assert max(len(line) for entry in found for line in entry.splitlines()) <= 50
    (cut, *_) = titles(groups[2:4], width=80)
    assert cut == "head xxxxxxxxxxxxxxxxxxxx…xxxxxxxxxxxxxxxxxxx1 (n=1)"
    assert titles(groups[:1], width=50)[0].startswith("cub")


def test_looks_of_groups_are_distinct():
    looks = styles(MOST_GROUPS)
    assert len({(look["color"], look["linestyle"], look["marker"]) for look in looks}) == MOST_GROUPS
    assert len({(look["color"], look["marker"]) for look in looks}) == MOST_GROUPS


def test_groups_too_many_to_look_distinct_are_said_to_be_left_out(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: saved.append(figure))
    groups = [Group({"lr": str(n)}, (Run("", {}, {1: {"eval/nmi": 0.5}}),)) for n in range(MOST_GROUPS + 2)]
    draw_curves(groups, ["nmi"], tmp_path / "curves.png")
    assert len(saved[0].axes[0].lines) == len(saved[0].legends[0].texts) == MOST_GROUPS
    assert saved[0].get_suptitle() == f"the first {MOST_GROUPS} of {MOST_GROUPS + 2} groups"


@pytest.mark.parametrize("number", [1, 4])
def test_pictures_are_drawn(tmp_path, number):
    for seed in range(2):
        make_run(tmp_path / "logs" / f"run_{seed}", seed=seed)
    make_run(tmp_path / "logs" / "other", loss="a rather long name of a loss, " * 3)
    runs, _ = read_runs([str(tmp_path / "logs")])
    groups, metrics = group_runs(runs), choose_metrics(runs)[:number]
    written = write_report(tmp_path / "out", groups, summarise(groups, metrics), metrics, split="eval", caption="")
    pictures = [path for path in written if path.suffix == ".png"]
    assert len(pictures) == (4 if number > 1 else 2)
    for path in pictures:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert min(pixels.shape[:2]) > 200
        assert pixels.std() > 5


def test_names_are_no_formulas(tmp_path, drawn):
    for name in ("a$_$b", "$\\frac$"):
        make_run(tmp_path / name, epochs=4, remark=name)
    groups = group_runs(read_runs([str(tmp_path)])[0], ["remark"])
    draw_curves(groups, ["e_recall_at_1"], tmp_path / "curves.png")
    draw_scatter(groups, ["e_recall_at_1", "mAP_c"], tmp_path / "scatter.png")
    draw_correlations([run for group in groups for run in group.runs], ["e_recall_at_1", "mAP_c"], tmp_path / "c.png")
    assert any("a$_$b" in text for text in drawn) and any("$\\frac$" in text for text in drawn)


def test_bars_are_the_last_epochs_means_and_their_intervals(tmp_path, monkeypatch):
    for loss, level in (("triplet", 0.4), ("ms", 0.6)):
        for seed in range(3):
            folder = make_run(tmp_path / f"{loss}{seed}", loss=loss, seed=seed, level=level)
            (folder / "baselines.json").write_text(json.dumps({"small pixels": {"e_recall_at_1": 0.1}}))
    saved = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: saved.append(figure))
    groups = group_runs(read_runs([str(tmp_path)])[0])
    metrics = ["e_recall_at_1", "mAP_c"]
    rows = summarise(groups, metrics)
    draw_bars(groups, rows, metrics, tmp_path / "bars.png")
    recall, mean_precision = saved[0].axes
    means = [row.metrics["e_recall_at_1"].mean for row in rows if row.choice != "best"]
    assert [bar.get_width() for bar in recall.patches] == means
    assert [tick.get_text() for tick in recall.get_yticklabels()][2:] == ["small pixels", "untrained"]
    assert len(mean_precision.patches) == 3, "the untrained network has it, the pixels do not"
