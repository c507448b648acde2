"""Pictures of many runs, and the coefficients on them."""

from __future__ import annotations

import numpy as np
import pytest
from made_runs import make_run
from PIL import Image
from scipy import stats

from dml.report.groups import group_runs
from dml.report.plots import correlations, observations
from dml.report.runs import read_runs
from dml.report.summary import choose_metrics, summarise
from dml.report.write import write_report


def test_coefficients_are_those_of_scipy():
    points = np.random.default_rng(0).normal(size=(40, 3)).round(1)  # with ties
    points[:, 2] += points[:, 0] ** 3
    pearson, spearman = correlations(points)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert pearson[i, j] == pytest.approx(stats.pearsonr(points[:, i], points[:, j]).statistic)
        assert spearman[i, j] == pytest.approx(stats.spearmanr(points[:, i], points[:, j]).statistic)


def test_coefficients_of_too_little_are_not_a_number():
    assert np.isnan(correlations(np.ones((2, 2)))[0]).all()
    assert np.isnan(correlations(np.stack([np.ones(9), np.arange(9.0)], axis=1))[0][0, 1])


def test_observations_are_the_epochs_with_all_metrics(tmp_path):
    make_run(tmp_path / "run", epochs=4)
    (run,) = read_runs([str(tmp_path)])[0]
    del run.epochs[2]["eval/mAP_c"]
    points = observations([run], ["e_recall_at_1", "mAP_c"])
    assert points.shape == (4, 2)
    assert points[0, 0] == run.epochs[0]["eval/e_recall_at_1"]


@pytest.mark.parametrize("number", [1, 4])
def test_pictures_are_drawn(tmp_path, number):
    for seed in range(2):
        make_run(tmp_path / "logs" / f"run_{seed}", seed=seed)
    make_run(tmp_path / "logs" / "other", loss="a rather long name of a loss, " * 3)
    runs, _ = read_runs([str(tmp_path / "logs")])
    groups, metrics = group_runs(runs), choose_metrics(runs)[:number]
    written = write_report(tmp_path / "out", groups, summarise(groups, metrics), metrics, split="eval", caption="")
    pictures = [path for path in written if path.suffix == ".png"]
    assert len(pictures) == (3 if number > 1 else 1)
    for path in pictures:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert min(pixels.shape[:2]) > 200
        assert pixels.std() > 5
