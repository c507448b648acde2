"""Two processes stop at the same batch, whichever was signalled, and what they saved goes on as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from test_trainer import Line, Planned, lines
from test_trainer import trainer as trainer_of

from dml.processes import gather_rows
from dml.structures import StepOutput
from dml.training.interrupt import Interrupted
from dml.training.peers import LostProcessError, Peers
from dml.training.trainer import Trainer
from two_processes import fabric_of_two, in_two_processes, needs_gloo

BATCHES = 6


class Drawing(Line):
    """Adds to each step's loss a number that this process draws, of its own generator."""

    signals_at: int | None = None

    def epoch_batches(self, epoch):
        return super().epoch_batches(epoch).reshape(BATCHES, 2)

    def training_step(self, batch, progress):
        self.count += 1
        if progress.step == self.signals_at:
            os.kill(os.getpid(), signal.SIGUSR1)
        own = self.model(batch.images) - (3 + random.random()) * batch.images
        return StepOutput(gather_rows(own).square().mean(), {"drawn": gather_rows(torch.rand(1)).sum()})


class Halves(Planned):
    """Of each planned batch a process has the half of its number."""

    def set_epoch(self, plan, epoch, first=0):
        rank = dist.get_rank()
        super().set_epoch(plan[:, rank : rank + 1], epoch, first)


def trainer(folder: Path, method: Drawing | None = None, evaluate: Any = None) -> Trainer:
    fabric = fabric_of_two(dist.get_rank())
    folder.mkdir(exist_ok=True)
    with (
        mock.patch("test_trainer.Fabric", lambda **_: fabric),
        mock.patch("test_trainer.Planned", Halves),
    ):
        return trainer_of(folder, method=method or Drawing(), evaluate=evaluate, epochs=2)


def seed(rank: int) -> None:
    """Every process's generators are its own."""
    random.seed(rank)
    torch.manual_seed(rank)


def outcome(run: Trainer) -> tuple:
    """How the training ends, and where."""
    try:
        run.fit()
        ended: Any = "done"
    except (Interrupted, LostProcessError) as error:
        ended = (type(error).__name__, getattr(error, "torn", None), getattr(error, "together", None))
    return ended, run.state.epoch, run.state.batches_done, run.state.plan is not None


def go_on(folder: Path) -> tuple:
    """Continue with generators that stand elsewhere."""
    seed(17)
    run = trainer(folder)
    run.resume(folder / "last.pt")
    return outcome(run), run.method.model.weight.item()


def _scenes(rank: int, folder: Path) -> dict[str, Any]:
    found = {}
    seed(rank)
    whole = trainer(folder / "whole")
    found["whole"] = outcome(whole), whole.method.model.weight.item()

    for name, who, step in (
        ("first process", 0, 2),
        ("second process", 1, 9),
        ("both", None, 2),
        ("last batch but one", 1, BATCHES - 2),
        ("last batch", 1, BATCHES - 1),
    ):
        seed(rank)
        method = Drawing()
        method.signals_at = step if who in (rank, None) else None
        found[name] = outcome(trainer(folder / name, method)), go_on(folder / name)

    def signalled(model: torch.nn.Module) -> dict[str, float]:
        if not done:
            done.append(1)
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("evaluated on")
        return {"recall_at_1": model.weight.item()}

    seed(rank)
    done: list[int] = []
    found["evaluation"] = outcome(trainer(folder / "evaluation", evaluate=signalled)), go_on(folder / "evaluation")

    def loses_a_process(_: Any) -> dict[str, float]:
        raise RuntimeError("[pair.cc:547] Connection closed by peer [127.0.0.1]:1")

    seed(rank)
    found["lost in the evaluation"] = (
        outcome(trainer(folder / "lost in the evaluation", evaluate=loses_a_process)),
        go_on(folder / "lost in the evaluation"),
    )
    seed(rank)
    method = Drawing()
    method.after_optimizer_step = lambda: loses_a_process(None)
    found["lost in a step"] = outcome(trainer(folder / "torn", method)), (folder / "torn" / "last.pt").exists()
    return found


@pytest.fixture(scope="module")
def logs_of_two(tmp_path_factory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("two")
    return folder, in_two_processes(_scenes, folder)


@needs_gloo
@pytest.mark.parametrize(
    ("scene", "stopped"),
    [
        # The votes of a step are counted after the next one.
        ("first process", (("Interrupted", False, True), 0, 4, True)),
        ("second process", (("Interrupted", False, True), 1, 5, True)),
        ("both", (("Interrupted", False, True), 0, 4, True)),
        ("last batch but one", (("Interrupted", False, True), 0, BATCHES, True)),
        ("last batch", (("Interrupted", False, True), 0, BATCHES, True)),
        ("evaluation", (("Interrupted", False, False), 0, BATCHES, True)),
        ("lost in the evaluation", (("LostProcessError", None, None), 0, BATCHES, True)),
    ],
)
def test_all_stop_at_the_same_place_and_go_on_as_if_nothing_had_been(logs_of_two, scene, stopped):
    folder, found = logs_of_two
    for process in found:
        assert process[scene][0] == stopped
        assert process[scene][1] == process["whole"]
    assert lines(folder / scene) == lines(folder / "whole")


@needs_gloo
def test_the_loss_of_a_process_in_the_middle_of_a_step_saves_nothing(logs_of_two):
    for process in logs_of_two[1]:
        assert process["lost in a step"] == ((("LostProcessError", None, None), 0, 0, True), False)


def _talk(rank: int) -> dict[str, Any]:
    peers = Peers(2)
    found = {"votes": [peers.vote(rank == 1 and step == 2) for step in range(5)]}
    found["afterwards"] = peers.decide(False)  # the last vote was no
    peers.vote(rank == 0)
    found["last vote counts"] = peers.decide(False)
    found["one wishes"] = peers.decide(rank == 0)
    found["gathered"] = peers.gather({"of": rank})
    found["gave up"] = peers.decide(True, give_up=lambda: True) if rank == 0 else None
    dist.barrier()  # of the training's group: until the first has given up
    if rank == 1:
        found["late"] = peers.decide(False)
    peers.leave(seconds=0 if rank == 0 else 20)
    return found


@needs_gloo
def test_what_processes_tell_each_other():
    first, second = in_two_processes(_talk)
    for process in (first, second):
        assert process["votes"] == [False, False, False, True, False]
        assert (process["afterwards"], process["last vote counts"], process["one wishes"]) == (False, True, True)
    assert (first["gathered"], second["gathered"]) == ([{"of": 0}, {"of": 1}], [])
    assert (first["gave up"], second["late"]) == (None, True)


def test_one_process_agrees_with_itself():
    peers = Peers(1)
    assert [peers.vote(True), peers.decide(True), peers.vote(False), peers.decide(False)] == [True, True, False, False]
    assert peers.gather("state") == ["state"]
    peers.leave(20)
