"""A run that finds less than what needs no training says so, why that may be, and which flags change it."""

from __future__ import annotations

import json

import pytest

from dml.cli.stml import parse_stml
from dml.cli.train import parse_train
from dml.training.advice import below_baselines, rising_loss
from dml.training.checkpoint import TrainingState

HISTOGRAM, PIXELS, FEATURES = "colour histogram", "small pixels", "pretrained features"


def config(*words: str):
    return parse_train(["--dataset", "folder", "--model", "resnet18", *words]).config


def state(best: float, *, untrained: float = 0.2, steps: int = 5000, **baselines: float) -> TrainingState:
    metrics = {name: {"recall_at_1": value, "map_at_r": value} for name, value in baselines.items()}
    return TrainingState(
        epoch=10,
        step=steps,
        best_epoch=5,
        best={"eval": {"recall_at_1": best, "map_at_r": best}},
        untrained={"eval": {"recall_at_1": untrained, "map_at_r": untrained}},
        baselines=metrics,
    )


def test_nothing_is_said_of_a_network_above_them_all_or_without_them():
    assert below_baselines(config(), state(0.5, **{HISTOGRAM: 0.5, PIXELS: 0.1}), "recall_at_1") is None
    assert below_baselines(config(), state(0.1), "recall_at_1") is None, "none were judged"


def test_either_of_the_leading_metrics_counts():
    judged = state(0.5, **{HISTOGRAM: 0.4})
    judged.baselines[HISTOGRAM]["map_at_r"] = 0.6
    said = below_baselines(config(), judged, "recall_at_1")
    assert "(MAP@R 50.00, colour histogram 60.00)" in said and "R@1 50" not in said


@pytest.mark.filterwarnings("ignore::dml.config.ConfigWarning")
@pytest.mark.parametrize(
    ("words", "changes", "reason"),
    [
        (("--pretrained", "0", "--bn-freeze", "0", "--warm", "0"), {}, "it began with random weights: --pretrained 1"),
        (("--pretrained", "0", "--bn-freeze", "1"), {}, "--bn-freeze 0"),
        (("--pretrained", "0", "--warm", "2"), {}, "in its first 2 epochs only heads trained"),
        ((), {"steps": 100}, "--epochs 100 takes 1,000"),
        (("--augmentation", "lighting"), {}, "--augmentation base, not lighting"),
        (("--crop-scale", "0.08"), {}, "as little as 8% of a photograph, the search all of it: --crop-scale 0.5"),
        (("--crop-scale", "0.6"), {}, "the histogram may be all that you need"),
    ],
)
def test_the_likely_reasons(words, changes, reason):
    said = below_baselines(config(*words), state(0.3, **{HISTOGRAM: 0.9}, **changes), "recall_at_1")
    assert said.startswith("the best epoch finds less than what needs no training (R@1 30.00, colour histogram 90.00;")
    assert reason in said


def test_training_that_leads_away_from_its_start():
    for judged in (state(0.3, **{FEATURES: 0.6}), state(0.3, untrained=0.4, **{PIXELS: 0.1})):
        assert "a lower --lr than 0.0001" in below_baselines(config(), judged, "recall_at_1")
    last = state(0.3, **{HISTOGRAM: 0.9})
    last.best_epoch = 10
    assert "still getting better in its last epoch: more --epochs than 60" in below_baselines(
        config("--epochs", "60"), last, "recall_at_1"
    )


@pytest.mark.parametrize(
    ("method", "helps"), [("stml", "a lower --lr, a smaller --sigma"), ("byol", "a lower --lr, crops that show more")]
)
def test_a_loss_that_rises_is_said(tmp_path, method, helps):
    learned = parse_stml(["--method", method, "--dataset", "folder", "--model", "resnet18"]).config
    for losses, rose in (((1.5, 2.5, 1.75), True), ((1.5, 2.5, 1.25), False), ((1.5,), False)):
        lines = [{"epoch": 0, "eval/recall_at_1": 0.5}]
        lines += [{"epoch": epoch, "train/loss": loss} for epoch, loss in enumerate(losses, start=1)]
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        said = rising_loss(learned, tmp_path)
        assert (said is not None) is rose
        if rose:
            assert said.startswith("the loss rose, from 1.5 in the first epoch to 1.75 in the last") and helps in said
