"""The search: what is proposed is a function of results alone, pruning is Optuna's median, the journal survives."""

from __future__ import annotations

import statistics

import pytest

from dml.compare.plan import Method, Protocol
from dml.compare.ranges import SearchRange
from dml.compare.results import DIVERGED, FINISHED, PRUNED, Result, read_result, result_of
from dml.compare.study import Journal, Trial, best_trial, is_to_stop, propose

pytest.importorskip("optuna")

METHOD = Method("a", "train.py", (), {"lr": SearchRange(1e-5, 1e-1, True), "size": SearchRange(1, 9)})
PROTOCOL = Protocol(folds=2, generation=3, seeds=(1,))


def trial(number: int, *values: float, state: str = FINISHED, **settings) -> Trial:
    """One whose folds end at ``values``, the last in ``state``."""
    results = [Result(FINISHED, {1: value / 2, 2: value}, {}, 2) for value in values]
    results[-1:] = [Result(state, {1: values[-1]}, {}, 1)] if state != FINISHED else results[-1:]
    return Trial(number, settings or {"lr": 1e-3, "size": 2}, tuple(results))


def searched(number: int, *, order=lambda place: place) -> list[Trial]:
    """Trials that are best where lr is 0.01."""
    trials: list[Trial] = []
    for place in range(number):
        first = place - place % PROTOCOL.generation
        before = sorted(trials[:first], key=lambda t: order(t.number))
        values = propose(METHOD, PROTOCOL, 2, place, sorted(before, key=lambda t: t.number), trials[first:place])
        trials.append(trial(place, *[1 - abs(values["lr"] - 0.01)] * 2, **values))
    return trials


def test_proposals_repeat_and_learn():
    trials = searched(12)
    assert [t.values for t in trials] == [t.values for t in searched(12)]
    assert len({t.values["lr"] for t in trials}) == 12
    first, last = (statistics.fmean(abs(t.values["lr"] - 0.01) for t in part) for part in (trials[:3], trials[6:]))
    assert last < first


def test_a_trial_counts_if_it_trained_to_the_end():
    good, pruned, broken = trial(0, 0.5, 0.7), trial(1, 0.9, state=PRUNED), trial(2, 0.9, 0.9, state=DIVERGED)
    assert good.value(2) == pytest.approx(0.6)
    assert (pruned.value(2), broken.value(2)) == (None, None)
    assert all(t.has_ended(2) for t in (good, pruned, broken))
    assert not trial(3, 0.9).has_ended(2)
    assert best_trial([pruned, good, broken], PROTOCOL) is good
    assert best_trial([pruned], PROTOCOL) is None
    assert good.curve(2) == {1: 0.25, 2: 0.5, 3: 0.35, 4: 0.7}


def test_the_median_of_earlier_trials_prunes():
    earlier = [{1: value, 2: value, 3: value} for value in (0.2, 0.4, 0.6)]
    stop = {"epochs": 3}
    assert is_to_stop(PROTOCOL, {1: 0.5, 2: 0.3, 3: 0.1}, earlier, **stop) is None  # by the best so far
    assert is_to_stop(PROTOCOL, {1: 0.3}, earlier, **stop) == 1
    assert is_to_stop(PROTOCOL, {1: 0.3, 2: 0.9}, earlier, **stop) == 1  # noticed late, decided where it was
    assert is_to_stop(Protocol(generation=3, prune_after=2), {1: 0.3, 2: 0.3}, earlier, **stop) == 2
    assert is_to_stop(PROTOCOL, {3: 0.1}, earlier, **stop) is None  # nothing is left to stop
    assert is_to_stop(PROTOCOL, {1: 0.0}, earlier[:2], **stop) is None  # too few to judge by
    assert is_to_stop(Protocol(generation=3, prune=False), {1: 0.0}, earlier, **stop) is None


def test_the_journal_has_what_was_chosen_and_how_it_ended(tmp_path):
    trials = [trial(0, 0.5, 0.7), trial(1, 0.1, state=PRUNED), trial(2, 0.2, 0.2, state=DIVERGED), trial(3, 0.3)]
    journal = Journal(tmp_path)
    study = journal.study("a", PROTOCOL)
    for one in trials:
        journal.choose(study, METHOD, one.values)
    journal.close(study, trials[:3], PROTOCOL, 2)
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(b'{"op_code": 4, "torn')  # the machine went down
    size = (tmp_path / "journal.log").stat().st_size

    again = Journal(tmp_path)
    study = again.study("a", PROTOCOL)
    assert again.chosen(study) == [one.values for one in trials]
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    assert (study.best_value, study.best_params) == (pytest.approx(0.6), trials[0].values)
    assert study.trials[0].intermediate_values == {1: 0.25, 2: 0.5, 3: 0.35, 4: 0.7}
    again.close(study, trials[:3], PROTOCOL, 2)
    assert (tmp_path / "journal.log").stat().st_size < size  # to look adds nothing


def test_a_result_is_what_the_record_says_up_to_an_epoch(tmp_path):
    lines = [
        '{"epoch": 0, "val/map_at_r": 0.9}',
        '{"epoch": 1, "train/loss": 1.0, "train/seconds": 2.0}',
        '{"epoch": 1, "val/map_at_r": 0.3, "val/recall_at_1": 0.4, "val/seconds": 1.0}',
        '{"epoch": 2, "val/map_at_r": 0.2, "val/recall_at_1": 0.6, "val/seconds": 1.0}',
        '{"epoch": 3, "val/map_at_r": 0.5, "val/rec',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    found = result_of(tmp_path, "map_at_r", FINISHED)
    assert (found.curve, found.best_epoch, found.value, found.seconds) == ({1: 0.3, 2: 0.2}, 1, 0.3, 4.0)
    assert found.best["recall_at_1"] == 0.4
    assert result_of(tmp_path, "map_at_r", PRUNED, until=1).curve == {1: 0.3}
    assert read_result(tmp_path) is None
