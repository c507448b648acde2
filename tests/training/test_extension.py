"""More epochs for a run: where that is what the longer plan would have given, and where it is refused."""

from __future__ import annotations

import pytest
import torch
from test_trainer import lines, trainer

from dml.cli.classify import parse_classify
from dml.cli.train import parse_train
from dml.models.convert import CHECKPOINT_FORMAT
from dml.training.extension import with_epochs


def planned(*words: str):
    return parse_train(["--epochs", "20", *words]).config


def leave_checkpoint(folder, *, epoch: int, batches_done: int = 0) -> None:
    state = {"epoch": epoch, "batches_done": batches_done}
    torch.save({"format": CHECKPOINT_FORMAT, "state": state}, folder / "last.pt")


@pytest.mark.parametrize(
    "words",
    [
        ("--scheduler", "constant"),
        ("--scheduler", "step", "--lr-decay-step", "3"),
        ("--scheduler", "multistep", "--milestones", "3"),
        ("--scheduler", "exp", "--lr-warmup", "2"),
        ("--loss", "triplet_lsd", "--kd_alpha", "0"),
    ],
    ids=" ".join,
)
def test_schedules_that_do_not_look_at_the_end(tmp_path, words):
    config = planned(*words)
    longer = planned(*words, "--epochs", "30")
    assert with_epochs(config, 30, tmp_path) == longer
    assert with_epochs(longer, 20, tmp_path) == config


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--scheduler", "cosine"), "--scheduler cosine lowers the rate over all of them"),
        (("--scheduler", "cyclic"), "--scheduler cyclic: where in a cycle the training ends"),
        (("--loss", "triplet_lsd"), "weight of --loss triplet_lsd's self-distillation grows over all of them"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_depends_on_the_end_is_refused(tmp_path, words, reason):
    with pytest.raises(ValueError, match="--epochs 30: this run was planned with 20") as refused:
        with_epochs(planned(*words), 30, tmp_path)
    assert reason in str(refused.value)
    assert with_epochs(planned(*words), 20, tmp_path) == planned(*words)


def test_milestones_that_followed_from_the_epochs(tmp_path):
    derived = parse_classify(["--epochs", "20"]).config
    with pytest.raises(ValueError, match="milestones 10 15 follow from them, which would be 15 23"):
        with_epochs(derived, 30, tmp_path)
    typed = parse_classify(["--epochs", "20", "--milestones", "8", "16"]).config
    assert with_epochs(typed, 30, tmp_path).optim.milestones == (8, 16)


@pytest.mark.parametrize(
    ("done", "epochs", "message"),
    [
        ({"epoch": 6}, 5, "--epochs 5: 6 epochs are done; give 6 or more"),
        ({"epoch": 6, "batches_done": 2}, 6, "6 epochs are done and another has begun; give 7 or more"),
        ({"epoch": 7}, 7, "with --eval-every 2 epoch 7 was not evaluated, as the last one has to be; give 8 or more"),
    ],
)
def test_an_end_before_what_is_done(tmp_path, done, epochs, message):
    leave_checkpoint(tmp_path, **done)
    config = planned("--eval-every", "2")
    with pytest.raises(ValueError) as refused:
        with_epochs(config, epochs, tmp_path)
    assert message in str(refused.value)
    assert with_epochs(config, 8, tmp_path).optim.epochs == 8


def test_a_foreign_checkpoint_is_named(tmp_path):
    torch.save({"format": "another"}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="not a checkpoint that a run can be continued from"):
        with_epochs(planned(), 30, tmp_path)


@pytest.mark.parametrize("every", [1, 2])
def test_an_extended_record_is_that_of_the_longer_plan(tmp_path, capsys, every):
    """But for the evaluation of an epoch that was to be the last, which stays."""
    for name in ("whole", "extended"):
        (tmp_path / name).mkdir()
    whole = trainer(tmp_path / "whole", epochs=5, eval_every=every)
    whole.fit()
    trainer(tmp_path / "extended", epochs=3, eval_every=every).fit()
    again = trainer(tmp_path / "extended", epochs=5, eval_every=every)
    capsys.readouterr()
    again.resume(tmp_path / "extended" / "last.pt")
    said = (
        "Epoch 3 was evaluated as the last one of a shorter training: that stays on record" in capsys.readouterr().out
    )
    assert said == (every == 2)
    again.fit()
    ours, theirs = lines(tmp_path / "extended"), lines(tmp_path / "whole")
    extra = [line for line in ours if line not in theirs]
    assert [line for line in ours if line not in extra] == theirs
    assert [(line["epoch"], "eval/recall_at_1" in line) for line in extra] == ([(3, True)] if every == 2 else [])
    assert torch.equal(again.method.model.weight, whole.method.model.weight)
