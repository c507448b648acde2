"""Metrics on the command line: published names, which epochs are kept, the training images' metrics."""

from __future__ import annotations

import json

import pytest

from dml.cli.train import parse_train
from dml.models.reading import read_torch_file
from entrypoints import SMALL, run_inside

LSD_METRICS = (
    *("e_recall@1", "e_recall@5", "nmi", "f1", "mAP_1000", "mAP_lim", "mAP_c", "dists@intra", "dists@inter"),
    *("dists@intra_over_inter", "rho_spectrum@0", "rho_spectrum@-1", "rho_spectrum@1", "rho_spectrum@10"),
)


def evaluation_of(*arguments):
    return parse_train(["--dataset", "cub", *arguments]).config.evaluation


def test_published_spellings():
    config = evaluation_of("--evaluation_metrics", *LSD_METRICS, "--storage_metrics", "e_recall@1", "mAP_c")
    assert config.metrics == LSD_METRICS
    assert config.select_metric == "e_recall_at_1"
    assert config.storage_metrics == ("e_recall_at_1", "mAP_c")


def test_flags_of_no_effect_are_accepted():
    flags = ("--no_train_metrics", "--evaluate_on_gpu", "--evaltypes", "discriminative")
    assert evaluation_of(*flags) == evaluation_of()
    assert not evaluation_of("--train-metrics", "1", "--no_train_metrics").train_metrics


def test_select_metric_takes_both_spellings():
    with_it = ("--metrics", "e_recall@1", "--select-metric")
    assert evaluation_of(*with_it, "e_recall@1") == evaluation_of(*with_it, "e_recall_at_1")


def training(digits, folder, *more):
    where = ("--dataset", "folder", "--data-dir", digits, "--log-dir", folder, "--run-name", "run")
    return ("train.py", *where, *SMALL, "--epochs", "1", *more)


def test_a_run_with_published_metrics(digits, tmp_path, capsys):
    wanted = (
        "--crop-size",
        "16",
        "--resize",
        "16",
        "--metrics",
        *LSD_METRICS,
        "--train-metrics",
        "--storage_metrics",
        "e_recall@1",
        "mAP_c",
    )
    run_inside(*training(digits, tmp_path, *wanted), status=0, capsys=capsys)
    folder = tmp_path / "folder" / "run"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    of_test = next(line for line in lines if "eval/e_recall_at_1" in line)
    assert len(of_test["eval/rho_spectrum_at_0"]) == 15
    assert 0 < of_test["eval/mAP_c"] < 1
    judged = [line["epoch"] for line in lines if "train_set/e_recall_at_1" in line]
    assert judged == [0, 1]  # own images: the untrained network stands beside the trained one
    results = (folder / "best_results.txt").read_text()
    assert "in per cent (dists and rho_spectrum as they are)" in results
    assert "rho_spectrum@-1" in results
    assert "rho_spectrum@0" not in results
    assert read_torch_file(folder / "best_mAP_c.pt")["format"] == read_torch_file(folder / "best.pt")["format"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--metrics", "e_recal@1"), "unknown metric 'e_recal@1'"),
        (("--metrics", "nmi", "--storage_metrics", "nmi", "f1"), "--storage-metrics f1 is to choose"),
        (
            ("--metrics", "rho_spectrum@0", "--select-metric", "rho_spectrum@0"),
            "rho_spectrum_at_0 is to choose",
        ),
    ],
)
def test_wrong_metrics_are_refused_before_a_folder_is_made(digits, tmp_path, capsys, arguments, message):
    printed = run_inside(*training(digits, tmp_path / "logs", *arguments), status=2, capsys=capsys)
    assert message in printed.err
    assert not (tmp_path / "logs").exists()
