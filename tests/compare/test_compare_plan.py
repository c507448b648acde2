"""What is wrong with a plan is said in one line, with the file and the key, before anything runs."""

from __future__ import annotations

import re

import pytest

from dml.compare.commands import Places, check_commands, final_command, run_digest, search_digest, trial_command
from dml.compare.plan import read_plan
from dml.compare.ranges import SearchRange
from dml.errors import UserError
from entrypoints import ROOT

LR = "lr = {low = 1e-3, high = 1e-1, log = true}"


def plan_with(plan_file, tmp_path, old: str, new: str):
    text = plan_file.read_text()
    assert old in text
    file = tmp_path / "plan.toml"
    file.write_text(text.replace(old, new))
    return file


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[budget]", "[budgets]", "budgets: no such key; there are data, network, budget, protocol, methods"),
        ("epochs = 2", "", "[budget] epochs: is missing"),
        ("epochs = 2", "epochs = '2'", "[budget] epochs: a whole number, not '2'"),
        ("trials = 3", "trails = 3", "[budget] trails: no such key; there are epochs, trials"),
        ("trials = 3", "trials = 0", "[budget] trials: 0 is less than 1"),
        ("folds = 2", "folds = 1", "[protocol] folds: 1 is less than 2"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "[protocol] seeds: [1, 1] names something twice"),
        ("seeds = [1, 2]", "seeds = 3", "[protocol] seeds: a list of whole numbers, not 3"),
        ("generation = 2", "prune = 1", "[protocol] prune: true or false, not 1"),
        ("generation = 2", "select_metric = 'mapr'", "[protocol] report and select_metric: there is no metric 'mapr'"),
        ("generation = 2", "report = ['nmi']", "[protocol] report: nmi is not computed; metrics gives recall_at_1"),
        ("generation = 2", "metrics = ['recall']", "[methods.anchor] --select-metric map_at_r is to choose"),
        ("[methods.plain]", "[methods.'a/b']", "[methods.a/b]: a name has letters"),
        ('"--loss MS --lr 1e-2"', "3", "[methods.plain] flags: a text"),
        ("--loss MS", "--loss 'MS", "[methods.plain] flags: No closing quotation"),
        ("--loss MS", "--los MS", "[methods.plain] unknown argument --los"),
        ("--loss MS", "--loss SM", "[methods.plain] "),
        ("--loss MS", "--loss MS --epochs 9", "[methods.plain] leave out --epochs: [budget] says it for all"),
        ("--loss MS", "--loss MS --fold 1/3", "[methods.plain] leave out --fold: [protocol] sets it for every run"),
        ("--loss MS", "--loss MS --eval-test-every 1", "[methods.plain] leave out --eval-test-every: the test split"),
        ("generation = 2", "final = 'some'", "[protocol] final: 'some' is not one of folds, all"),
        ("generation = 2", "search_folds = 3", "[protocol] search_folds: 3 of 2 folds"),
        ("[methods.plain]", "[methods.plain]\nsource = 'plain'", "[methods.plain] source: 'plain' is none of the meth"),
        (LR, "lr = [1, 2]", "[methods.anchor.search] lr: reads {low = 1e-5"),
        (LR, "lr = {low = 1, high = 1}", "[methods.anchor.search] lr: low 1 is not below high 1"),
        (LR, "lr = {low = 0, high = 1, log = true}", "[methods.anchor.search] lr: log = true needs a low above 0"),
        (LR, "lr = {low = -1, high = 1}", "[methods.anchor.search] lr: "),
        (LR, "margin = {choices = [1]}", "[methods.anchor.search] margin: "),
        (LR, "seed = {low = 1, high = 3}", "[methods.anchor.search] seed: cannot be searched"),
        (LR, "lr = {choices = []}", "[methods.anchor.search] lr: choices is a list of values"),
        ("--dataset cub", "--dataset folder --split all", "[methods.anchor] --split all trains on every image"),
    ],
)
def test_mistakes(plan_file, tmp_path, old, new, said):
    file = plan_with(plan_file, tmp_path, old, new)
    with pytest.raises(UserError, match=f"^{re.escape(str(file))}: {re.escape(said)}") as error:
        check_commands(read_plan(file), Places(tmp_path))
    assert "\n" not in str(error.value)


def test_no_toml(tmp_path):
    (tmp_path / "a.toml").write_text("[data\n")
    for name, said in (("a.toml", "not TOML"), ("b.toml", "no such plan")):
        with pytest.raises(UserError, match=said):
            read_plan(tmp_path / name)


def test_what_determines_a_run_names_it(plan_file, tmp_path):
    plan = read_plan(plan_file)
    anchor, plain = plan.methods
    command = trial_command(plan, anchor, 3, {"lr": 0.01, "mrg": 0.1}, 2)
    assert command.name.startswith("anchor_t03_f2_")
    assert {"--lr=0.01", "--mrg=0.1", "2/2"} <= set(command.words)
    names = {final_command(plan, plain, {}, seed, fold).name for seed in (1, 2) for fold in (1, 2)}
    assert len(names) == 4
    words = ["--loss", "MS", "--lr", "1e-2"]
    assert run_digest("train.py", words) == run_digest("train.py", ["--lr=0.01", "--loss", "MS", "--workers", "2"])
    assert run_digest("train.py", words) != run_digest("train.py", [*words, "--epochs", "3"])
    more = read_plan(plan_with(plan_file, tmp_path, "trials = 3", "trials = 9"))
    assert search_digest(more, more.methods[0]) == search_digest(plan, anchor)
    wider = read_plan(plan_with(plan_file, tmp_path, "high = 1e-1", "high = 1e0"))
    assert search_digest(wider, wider.methods[0]) != search_digest(plan, anchor)


def test_every_run_leaves_the_test_split_alone(plan_file, tmp_path):
    plan = read_plan(plan_file)
    anchor = plan.methods[0]
    for command in (trial_command(plan, anchor, 0, {}, 1), final_command(plan, anchor, {}, 1, 1)):
        words = " ".join(command.line(Places(tmp_path), "cub"))
        assert "--select val" in words
        assert "--eval-test-every 0" in words


def test_numbers_are_what_is_typed():
    found = SearchRange(1e-5, 1e-3, True)
    assert found.rounded(0.000123456) == 0.0001235
    assert found.rounded(0.00099999) == 1e-3
    assert SearchRange(1, 8).rounded(3) == 3


@pytest.mark.parametrize("file", sorted((ROOT / "plans").glob("*.toml")), ids=lambda file: file.stem)
def test_shipped_plans(file, tmp_path):
    plan = read_plan(file)
    needs = ("--weights", str(tmp_path / "weights.pth")) if ".pth" in file.read_text() else ()
    (tmp_path / "weights.pth").touch()
    places = Places(tmp_path, ("--data-dir", str(tmp_path)), needs)
    check_commands(plan, places)
    assert len({method.name for method in plan.methods}) >= 2


def test_places_are_no_part_of_a_plan():
    """A plan is for every machine."""
    for file in (ROOT / "plans").glob("*.toml"):
        plan = read_plan(file)
        words = [*plan.flags, *(word for method in plan.methods for word in method.flags)]
        assert not {"--data-dir", "--log-dir", "--weights", "--gpu-id"} & set(words), file
