"""When a run looks at its test split: as often as it evaluates, now and then, once at the end, or never."""

from __future__ import annotations

import pytest
import torch
from test_trainer import lines
from test_trainer import trainer as _trainer

from dml.config import EvalConfig
from dml.errors import UserError
from dml.training.selection import Selection, require_looks


def trainer(folder, *, looks: list, val=None, epochs=5, save=True, **evaluation):
    """One whose best epoch is chosen on held-out classes; every look at the test split is noted in ``looks``."""
    run = _trainer(folder, epochs=epochs, select="val", **evaluation)

    def test(model):
        looks.append(float(model.weight.detach().sum()))
        return {"recall_at_1": looks[-1]}

    val = val or (lambda model: {"recall_at_1": float(model.weight.detach().sum())})
    run.evaluate = {"eval": test, "val": val}
    run.selection = run.keeper.selection = Selection("val", "recall_at_1")
    run.keeper.keep_best = save
    return run


def epochs_of(folder, prefix) -> list[int]:
    return [line["epoch"] for line in lines(folder) if f"{prefix}/recall_at_1" in line]


@pytest.mark.parametrize(("every", "seen"), [(0, []), (1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4, 5]), (9, [0, 5])], ids=str)
def test_as_often_as_asked_for(tmp_path, every, seen):
    looks = []
    run = trainer(tmp_path, looks=looks, eval_test_every=every, eval_first=True)
    run.fit()
    run.judge_best()
    assert epochs_of(tmp_path, "eval") == seen
    assert epochs_of(tmp_path, "val") == [0, 1, 2, 3, 4, 5]
    assert len(looks) == len(seen)


def test_once_at_the_end_through_the_best_epoch_s_network(tmp_path):
    looks, values = [], iter([0.1, 0.5, 0.2, 0.3, 0.4])
    run = trainer(tmp_path, looks=looks, val=lambda model: {"recall_at_1": next(values)}, eval_first=False)
    state = run.fit()
    assert looks == []
    last = float(run.method.model.weight)
    run.judge_best()
    best = float(torch.load(tmp_path / "best.pt", weights_only=True)["model"]["weight"])
    assert (looks, state.best_epoch) == ([best], 2)
    assert best != last == float(run.method.model.weight)
    assert epochs_of(tmp_path, "eval") == [2]
    assert state.best["eval"] == {"recall_at_1": best}
    assert "eval" not in state.latest

    run.judge_best()  # a finished run that is taken up again
    again = trainer(tmp_path, looks=looks)
    again.resume(tmp_path / "last.pt")
    again.judge_best()
    assert looks == [best]
    assert "test, in per cent" in (tmp_path / "best_results.txt").read_text()


def test_without_best_pt_the_last_epoch_is_judged(tmp_path):
    looks, values = [], iter([0.5, 0.1])
    run = trainer(tmp_path, looks=looks, epochs=2, save=False, val=lambda model: {"recall_at_1": next(values)})
    state = run.fit()
    run.judge_best()
    assert (epochs_of(tmp_path, "eval"), "eval" in state.best, "eval" in state.latest) == ([2], False, True)


@pytest.mark.parametrize("every", [0, 2])
def test_what_chooses_the_epoch_is_looked_at(every):
    with pytest.raises(UserError, match=f"--eval-test-every {every}: the test split chooses"):
        require_looks(EvalConfig(eval_test_every=every), Selection("eval", "recall_at_1"))
