"""The loop itself, on a method small enough to follow by hand."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import warnings
from unittest import mock

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from dml.config import EvalConfig, OptimConfig
from dml.data.images import UnreadableImageError
from dml.data.loader import LoadingError
from dml.evaluation.answers import Answers
from dml.methods.base import Method, ParamGroup
from dml.models.reading import read_torch_file
from dml.signals import STOP_SIGNALS
from dml.structures import Batch, StepOutput
from dml.tracking import Tracker
from dml.training import interrupt
from dml.training.interrupt import Interrupted
from dml.training.losswatch import LossWatch, NonFiniteLossError
from dml.training.selection import Selection
from dml.training.trainer import Trainer
from dml.writing import save_atomically


class Line(Method):
    """Fits y = w·x with w = 3; notes what the trainer calls."""

    def __init__(self):
        super().__init__()
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.calls = []

    def param_groups(self):
        return [ParamGroup("line", list(self.model.parameters()), new=True)]

    def epoch_batches(self, epoch):
        return np.random.default_rng(epoch).permutation(12).reshape(4, 3)

    def start_epoch(self, progress):
        self.calls.append(progress.epoch)

    def training_step(self, batch, progress):
        self.count += 1
        loss = (self.model(batch.images) - 3 * batch.images).square().mean()
        return StepOutput(loss, {"weight": self.model.weight.detach().sum()})

    def after_optimizer_step(self):
        self.calls.append("step")


class Planned:
    """Stands for loader and planned batches: image i is the number i / 12."""

    def set_epoch(self, plan, epoch, first=0):
        self.rows = plan[first:]

    def __iter__(self):
        for row in self.rows:
            x = torch.tensor(row, dtype=torch.float32)[:, None] / 12
            yield Batch(x, torch.zeros(len(row), dtype=torch.int64), torch.tensor(row))


def trainer(
    folder, *, evaluate=None, method=None, epochs=4, precision="32-true", warmup=0.0, answers=None, **evaluation
) -> Trainer:
    source, evaluation = Planned(), EvalConfig(**evaluation)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    return Trainer(
        fabric=fabric,
        method=method or Line(),
        loader=source,
        batches=source,
        evaluate={"eval": evaluate or (lambda model: {"recall_at_1": float(model.weight.detach().sum())})},
        selection=Selection("eval", evaluation.select_metric, evaluation.storage_metrics[1:]),
        optim=OptimConfig(
            epochs=epochs,
            lr=0.02,
            lr_warmup=warmup,
            warm=0,
            optimizer="sgd",
            nesterov=False,
            scheduler="constant",
        ),
        evaluation=evaluation,
        tracker=Tracker(folder),
        folder=folder,
        description={"config": {}, "architecture": {}},
        answers=answers,
        resume_hint="go on",
    )


def lines(folder) -> list[dict]:
    read = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.endswith(("seconds", "wait", "second"))} for line in read]


class Idle(Line):
    """Learns nothing in the epochs ``idle``, counted from 0."""

    def __init__(self, *idle):
        super().__init__()
        self.idle = idle

    def training_step(self, batch, progress):
        output = super().training_step(batch, progress)
        return StepOutput(output.loss * (progress.epoch not in self.idle), output.logs)


def zero_epochs(run: Trainer) -> list[str]:
    """What is said of epochs without a loss."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.fit()
    return [str(warning.message) for warning in caught if "exactly 0" in str(warning.message)]


def test_epochs_whose_every_loss_is_zero_are_said_once(tmp_path):
    assert zero_epochs(trainer(tmp_path)) == []
    (text,) = zero_epochs(trainer(tmp_path, method=Idle(1, 2)))
    assert text.startswith("every loss of epoch 2 was exactly 0")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_it_learns_and_calls_the_hooks(tmp_path, precision):
    run = trainer(tmp_path, precision=precision)
    state = run.fit()
    assert (state.epoch, state.step) == (4, 16)
    assert run.method.calls[:6] == [0, "step", "step", "step", "step", 1]
    assert int(run.method.count) == 16
    assert state.latest["eval"]["recall_at_1"] == pytest.approx(3, abs=1.0)
    losses = [line["train/loss"] for line in lines(tmp_path) if "train/loss" in line]
    assert losses[-1] < losses[0] / 3
    assert all("train/weight" in line for line in lines(tmp_path) if "train/loss" in line)


@pytest.mark.parametrize(("every", "epochs"), [(2, [0, 2, 4, 5]), (3, [0, 3, 5])])
def test_evaluations_are_due(tmp_path, every, epochs):
    trainer(tmp_path, epochs=5, eval_every=every, eval_first=True).fit()
    assert [line["epoch"] for line in lines(tmp_path) if "eval/recall_at_1" in line] == epochs


def test_best_is_the_first_of_equals_and_the_untrained_network_is_no_candidate(tmp_path):
    values = iter([0.9, 0.2, 0.5, 0.5, 0.1])
    state = trainer(tmp_path, evaluate=lambda model: {"recall_at_1": next(values)}, eval_first=True).fit()
    assert (state.best_epoch, state.best["eval"]["recall_at_1"]) == (2, 0.5)
    best, last = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("best", "last"))
    assert (best["epoch"], last["epoch"]) == (2, 4)
    assert best["metrics"]["eval"] == {"recall_at_1": 0.5}
    text = (tmp_path / "best_results.txt").read_text()
    assert "best (epoch 2)" in text
    assert "optimistic" in text


def test_without_evaluation_the_newest_network_is_kept(tmp_path, capsys):
    run = trainer(tmp_path, epochs=2, eval_first=True)
    run.evaluate = {}
    state = run.fit()
    best, last = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("best", "last"))
    assert (best["epoch"], last["epoch"], state.best_epoch) == (2, 2, 2)
    assert not (tmp_path / "best_results.txt").exists()
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2]
    assert "epoch 0" not in capsys.readouterr().out


def test_stopped_after_any_evaluation_and_resumed_equals_uninterrupted(tmp_path):
    (tmp_path / "whole").mkdir()
    trainer(tmp_path / "whole").fit()
    for stop in range(1, 5):
        folder = tmp_path / f"stop{stop}"
        folder.mkdir()
        seen = []

        def evaluate(model, stop=stop, seen=seen):
            seen.append(1)
            if len(seen) == stop:
                raise Interrupted
            return {"recall_at_1": float(model.weight.detach().sum())}

        with pytest.raises(Interrupted):
            trainer(folder, evaluate=evaluate).fit()
        again = trainer(folder)
        again.resume(folder / "last.pt")
        again.fit()
        assert lines(folder) == lines(tmp_path / "whole")
        assert int(again.method.count) == 16


def test_a_warm_up_scales_the_steps_and_is_recorded(tmp_path):
    run = trainer(tmp_path, epochs=1, warmup=2)
    weights = []
    run.method.after_optimizer_step = lambda: weights.append(run.method.model.weight.item())
    run.fit()
    first = torch.tensor(run.method.epoch_batches(0)[0] / 12).square().mean().item()
    assert weights[0] == pytest.approx(0.02 / 8 * 6 * first)  # rate · gradient of a first step at w = 0
    assert lines(tmp_path)[0]["train/lr"] == pytest.approx(0.02 * 5 / 8)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_in_the_middle_of_an_epoch_saves_after_the_step(tmp_path, capsys, number):
    class Signalled(Line):
        def training_step(self, batch, progress):
            if progress.step == 5:
                os.kill(os.getpid(), number)
            return super().training_step(batch, progress)

    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    trainer(tmp_path / "whole", warmup=2.5).fit()
    with pytest.raises(Interrupted):
        trainer(tmp_path / "stopped", method=Signalled(), warmup=2.5).fit()
    assert "1 epochs and 2 batches are saved. Continue with:\n  go on" in capsys.readouterr().out
    again = trainer(tmp_path / "stopped", warmup=2.5)
    again.resume(tmp_path / "stopped" / "last.pt")
    assert (again.state.step, again.state.batches_done) == (6, 2)
    again.fit()
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_after_backward_comes_before_the_weights_move(tmp_path):
    class Watched(Line):
        def training_step(self, batch, progress):
            self.before = self.model.weight.detach().clone()
            return super().training_step(batch, progress)

        def after_backward(self):
            assert self.model.weight.grad is not None
            assert torch.equal(self.model.weight, self.before)
            self.count += 100

    run = trainer(tmp_path, method=Watched(), epochs=1)
    run.fit()
    assert int(run.method.count) == 404


def test_a_signal_while_an_epoch_is_planned_stops_at_once(tmp_path):
    class Planning(Line):
        def epoch_batches(self, epoch):
            if epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)
                raise AssertionError("planned on")
            return super().epoch_batches(epoch)

    with pytest.raises(Interrupted):
        trainer(tmp_path, method=Planning()).fit()
    saved = torch.load(tmp_path / "last.pt", weights_only=True)["state"]
    assert (saved["epoch"], saved["step"], saved["plan"]) == (2, 8, None)


def test_a_second_signal_does_not_save_half_a_step(tmp_path, monkeypatch):
    class Impatient(Line):
        def training_step(self, batch, progress):
            output = super().training_step(batch, progress)
            if progress.step == 5:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
                raise AssertionError("trained on")
            return output

    monkeypatch.setattr(interrupt, "SAME_REQUEST", -1.0)
    with pytest.raises(Interrupted) as stop:
        trainer(tmp_path, method=Impatient()).fit()
    assert stop.value.torn
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert (saved["state"]["step"], int(saved["method"]["count"])) == (4, 4)


@pytest.mark.parametrize("when", ["at the end of an epoch", "after a first signal"])
def test_signals_while_a_file_is_written_wait_until_it_is_whole(tmp_path, monkeypatch, when):
    """However often they come; what was being saved is kept."""
    write, at = save_atomically, {"at the end of an epoch": 4, "after a first signal": 6}[when]

    def interrupted(state, path):
        with torch.no_grad():
            if path.name == "last.pt" and state["state"]["step"] == at:
                for _ in range(3):
                    os.kill(os.getpid(), signal.SIGINT)
            write(state, path)

    class Signalled(Line):
        def training_step(self, batch, progress):
            if progress.step == 5 and when == "after a first signal":
                os.kill(os.getpid(), signal.SIGTERM)
            return super().training_step(batch, progress)

    monkeypatch.setattr(interrupt, "SAME_REQUEST", -1.0)
    monkeypatch.setattr("dml.training.checkpoint.save_atomically", interrupted)
    with pytest.raises(Interrupted) as stop:
        trainer(tmp_path, method=Signalled()).fit()
    assert not stop.value.torn
    assert read_torch_file(tmp_path / "last.pt")["state"]["step"] == at
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_signal_ends_the_wait_for_a_batch_that_never_comes(tmp_path):
    class Stuck:
        def __init__(self, loader):
            self.loader = loader

        def __iter__(self):
            yield from itertools.islice(self.loader, 2)
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("waited on")

    run = trainer(tmp_path)
    run.loader = Stuck(run.loader)
    with pytest.raises(Interrupted):
        run.fit()
    saved = read_torch_file(tmp_path / "last.pt")["state"]
    assert (saved["step"], saved["batches_done"], saved["totals"]["loss"] > 0) == (2, 2, True)


def test_a_signal_whose_exception_is_swallowed_stops_the_run_all_the_same(tmp_path, capsys):
    """As in a callback of a library, or when an object is deleted."""

    def evaluate(model):
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), signal.SIGTERM)
        return {"recall_at_1": 0.5}

    with pytest.raises(Interrupted):
        trainer(tmp_path, evaluate=evaluate).fit()
    assert "0 epochs and 4 batches are saved" in capsys.readouterr().out


@pytest.mark.parametrize("signalled", [True, False])
def test_workers_that_die_of_the_cluster_s_signal_end_the_run_in_order(tmp_path, signalled):
    """torch raises a worker's death wherever the program stands; without a signal it is an error with advice."""

    class Bereaved(Line):
        def training_step(self, batch, progress):
            if progress.step == 5:
                if signalled:
                    os.kill(os.getpid(), signal.SIGTERM)
                raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")
            return super().training_step(batch, progress)

    with pytest.raises(Interrupted if signalled else LoadingError):
        trainer(tmp_path, method=Bereaved()).fit()
    assert torch.load(tmp_path / "last.pt", weights_only=True)["state"]["step"] == 4


def test_a_distance_within_classes_is_best_where_it_is_least(tmp_path):
    values = iter([(0.5, 0.1), (0.2, 0.2), (0.2, 0.4), (0.3, 0.1)])

    def evaluate(model):
        return dict(zip(("dists_at_intra", "dists_at_inter"), next(values), strict=True))

    run = trainer(tmp_path, evaluate=evaluate, storage_metrics=("dists@intra", "dists@inter"))
    state = run.fit()
    assert (state.best_epoch, state.highest) == (2, {"dists_at_inter": 0.4})
    epochs = {path.name: read_torch_file(path)["epoch"] for path in tmp_path.glob("*.pt")}
    assert epochs == {"best.pt": 2, "best_dists_at_inter.pt": 3, "last.pt": 4}
    assert "Best epoch by dists_at_intra (lowest)" in (tmp_path / "best_results.txt").read_text()


def test_a_value_that_is_no_number_is_never_the_best_for_long(tmp_path):
    values = iter([float("nan"), 0.1, float("nan"), 0.05])
    state = trainer(tmp_path, evaluate=lambda model: {"recall_at_1": next(values)}).fit()
    assert state.best_epoch == 2


def test_figures_say_over_how_many_queries_they_are(tmp_path, capsys):
    figures, answers = {"map_at_r": 0.5, "recall_at_1": 0.25}, {"eval": Answers(14, 12)}
    run = trainer(tmp_path, epochs=1, evaluate=lambda model: figures, answers=answers)
    state = run.fit()
    assert (lines(tmp_path)[-1]["eval/queries"], lines(tmp_path)[-1]["eval/queries_with_answer"]) == (14, 12)
    assert state.latest["eval"] == {"map_at_r": 0.5, "recall_at_1": 0.25}, "what can choose an epoch"
    said = capsys.readouterr().out
    assert "test: R@1 25.00  MAP@R 50.00\n" in said
    results = (tmp_path / "best_results.txt").read_text()
    assert "\nR@k over 14 queries; MAP@R over 12: 2 have no answer in the gallery\n" in results


def test_results_name_the_epoch_that_was_evaluated(tmp_path):
    run = trainer(tmp_path, epochs=5, eval_every=3)
    run.is_due = lambda epoch: epoch == 3
    run.fit()
    assert "last (epoch 3)" in (tmp_path / "best_results.txt").read_text()


def test_resume_refuses_another_file(tmp_path):
    torch.save({"format": "something else"}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="not a checkpoint that a run can be continued from"):
        trainer(tmp_path).resume(tmp_path / "last.pt")


def test_a_loss_that_is_not_finite_names_step_and_images(tmp_path):
    class Exploding(Line):
        def training_step(self, batch, progress):
            output = super().training_step(batch, progress)
            return StepOutput(output.loss / (0 if progress.step == 5 else 1))

    run = trainer(tmp_path, method=Exploding())
    with pytest.raises(NonFiniteLossError, match=r"the loss of step 5 is inf; .* training images \[") as error:
        run.fit()
    images = run.method.epoch_batches(1)[1].tolist()
    assert str(images) in str(error.value)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 1


def test_loss_watch_sums_in_double_precision():
    watch = LossWatch({"loss": 1.0})
    assert not watch.all_zero
    for step in range(10):
        watch.add(StepOutput(torch.tensor(0.1), {"part": torch.tensor(0.5)}), step, torch.arange(2))
    assert watch.totals() == {"loss": pytest.approx(2.0, abs=1e-7), "part": 5.0}
    assert watch.latest == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("where", "done"), [("in a batch", (0, 2)), ("in the evaluation", (0, 4)), ("in a page", (1, 0))]
)
def test_an_unreadable_image_stops_the_run_where_it_can_go_on(tmp_path, monkeypatch, capsys, where, done):
    folders = [tmp_path / name for name in ("whole", "stopped")]
    for folder in folders:
        folder.mkdir()
    whole = trainer(folders[0], epochs=2)
    whole.fit()
    run = trainer(folders[1], epochs=2)
    with monkeypatch.context() as broken:
        if where == "in a batch":
            broken.setattr(run, "loader", BrokenAfterTwo(run.loader))
        elif where == "in the evaluation":
            broken.setattr(run, "evaluate", {"eval": no_such_image})
        else:
            broken.setattr(run, "after_epoch", lambda epoch: epoch and no_such_image(run.method.model))
        with pytest.raises(UnreadableImageError):
            run.fit()
    told = "Stopped by an image: {} epochs and {} batches are saved. Continue with:\n  go on".format(*done)
    assert told in capsys.readouterr().out
    assert (folders[1] / "best.pt").exists() == (where == "in a page")
    pages = []
    again = trainer(folders[1], epochs=2)
    again.after_epoch = pages.append
    again.resume(folders[1] / "last.pt")
    again.fit()
    assert pages == [1, 2]  # the page of epoch 1 was not drawn before
    assert torch.equal(again.method.model.weight, whole.method.model.weight)
    assert again.state.totals == whole.state.totals
    records = [[json.loads(line) for line in (folder / "metrics.jsonl").open()] for folder in folders]
    losses = [[line["train/loss"] for line in lines if "train/loss" in line] for lines in records]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("error", "hint"), [(UnreadableImageError, "mend it"), (OSError, "Continue with:\n  go on")])
def test_what_to_do_about_an_image_is_said_of_images_alone(tmp_path, monkeypatch, capsys, error, hint):
    run = trainer(tmp_path)
    run.keeper.mend_hint = "mend it"
    monkeypatch.setattr(run, "after_epoch", mock.Mock(side_effect=error("x.png")))
    with pytest.raises(error):
        run.fit()
    assert capsys.readouterr().out.strip().endswith(hint)


def test_a_full_disk_met_while_stopping(tmp_path, monkeypatch, capsys):
    run = trainer(tmp_path, epochs=2)
    monkeypatch.setattr(run, "loader", BrokenAfterTwo(run.loader))
    monkeypatch.setattr(run.keeper.checkpoints, "save", mock.Mock(side_effect=OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        run.fit()
    assert "Stopped by an image: nothing is saved yet. Continue with:" in capsys.readouterr().out


def no_such_image(model):
    raise UnreadableImageError("cannot read image x.png")


class BrokenAfterTwo:
    """A loader whose third batch has an image that cannot be read."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        yield from itertools.islice(self.loader, 2)
        raise UnreadableImageError("cannot read image x.png")


def test_buffers_are_shared_before_every_plan_and_every_evaluation(tmp_path, monkeypatch):
    method, calls = Line(), []
    plan = method.epoch_batches
    monkeypatch.setattr(method, "epoch_batches", lambda epoch: calls.append("plan") or plan(epoch))
    monkeypatch.setattr("dml.training.trainer.share_buffers", lambda method: calls.append("share"))
    evaluate = lambda model: calls.append("evaluate") or {"recall_at_1": 0.5}  # noqa: E731
    trainer(tmp_path, method=method, evaluate=evaluate, epochs=2, eval_every=2).fit()
    assert calls == ["share", "plan", "share", "plan", "share", "evaluate"]


def test_each_storage_metric_keeps_its_own_best_network(tmp_path):
    metrics = iter([{"a": 0.1, "b": 0.9, "c": 0.3}, {"a": 0.5, "b": 0.2, "c": 0.4}, {"a": 0.4, "b": 0.3, "c": 0.8}])
    evaluate = lambda model: next(metrics)  # noqa: E731
    run = trainer(tmp_path, evaluate=evaluate, epochs=3, storage_metrics=("a", "b", "c"))
    state = run.fit()
    assert (state.best_epoch, state.highest) == (2, {"b": 0.9, "c": 0.8})
    epochs = {path.name: read_torch_file(path)["epoch"] for path in tmp_path.glob("*.pt")}
    assert epochs == {"best.pt": 2, "best_b.pt": 1, "best_c.pt": 3, "last.pt": 3}
