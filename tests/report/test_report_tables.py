"""From run folders to tables: what is read, grouped, averaged and printed."""

from __future__ import annotations

import csv
import io
import json
import re
import statistics

import pytest
from made_runs import make_run, write_record

from dml.report.groups import ABSENT, Group, group_runs
from dml.report.marks import BEST, CLOSE, marks_of
from dml.report.reading import read_runs
from dml.report.runs import read_run
from dml.report.summary import Row, Statistic, choose_metrics, explain, summarise
from dml.report.tables import comma_separated, escape_latex, latex, markdown, text

METRICS = ["e_recall_at_1", "dists_at_intra_over_inter"]


@pytest.fixture
def logs(tmp_path):
    """Two losses with three seeds each."""
    for loss, level in (("triplet", 0.5), ("triplet_lsd", 0.6)):
        for seed in range(3):
            make_run(tmp_path / "cub" / f"{loss}_{seed}", loss=loss, seed=seed, level=level)
    return tmp_path


def rows_of(logs, metrics=METRICS):
    groups = group_runs(read_runs([str(logs)])[0])
    return summarise(groups, metrics), explain(groups)


def test_best_is_the_first_highest_trained_epoch(tmp_path):
    folder = make_run(tmp_path / "run", epochs=3)
    values = {0: 0.9, 1: 0.2, 2: 0.5, 3: 0.5}
    write_record(folder, [{"epoch": epoch, "eval/e_recall_at_1": value} for epoch, value in values.items()])
    run = read_run(folder)
    assert (run.best_epoch, run.last_epoch) == (2, 3)


def test_best_is_the_least_where_lower_is_better(tmp_path):
    folder = make_run(tmp_path / "run", epochs=3)
    config = json.loads((folder / "config.json").read_text())
    config["evaluation"]["select_metric"] = "dists_at_intra"
    (folder / "config.json").write_text(json.dumps(config))
    values = {1: 0.3, 2: 0.1, 3: 0.1}
    write_record(folder, [{"epoch": epoch, "eval/dists_at_intra": value} for epoch, value in values.items()])
    assert read_run(folder).best_epoch == 2


def test_queries_without_an_answer_are_said_and_are_no_metric(tmp_path):
    folder = make_run(tmp_path / "run", epochs=1)
    counts = {"eval/queries": 14, "eval/queries_with_answer": 12}
    write_record(folder, [{"epoch": 1, "eval/e_recall_at_1": 0.5, "eval/map_at_r": 0.25} | counts])
    runs, _ = read_runs([str(tmp_path)])
    assert choose_metrics(runs) == ["e_recall_at_1", "map_at_r"]
    said = "MAP@R and R-precision leave out queries without an answer in the gallery: 2 of 14."
    assert said in explain(group_runs(runs))
    assert "without an answer" not in explain(group_runs(runs), split="val")


def test_held_out_images_choose_where_there_are_any(tmp_path):
    folder = make_run(tmp_path / "run", epochs=2)
    lines = [{"epoch": e, "eval/e_recall_at_1": e / 2, "val/e_recall_at_1": 1 - e / 2} for e in (1, 2)]
    write_record(folder, lines)
    assert read_run(folder).best_epoch == 1
    assert "held-out" in explain(group_runs([read_run(folder)]))


def test_runs_that_differ_in_their_seed_are_one_group(logs):
    groups = group_runs(read_runs([str(logs)])[0])
    assert [(group.fields, len(group.runs)) for group in groups] == [
        ({"loss": "triplet"}, 3),
        ({"loss": "triplet_lsd"}, 3),
    ]


def test_groups_by_named_settings(logs):
    make_run(logs / "cub" / "slow", loss="triplet", lr=1e-5)
    runs = read_runs([str(logs)])[0]
    assert [group.fields for group in group_runs(runs)] == [
        {"loss": "triplet", "lr": "1e-05"},
        {"loss": "triplet", "lr": "0.0001"},
        {"loss": "triplet_lsd", "lr": "0.0001"},
    ]
    assert [len(group.runs) for group in group_runs(runs, ["lr"])] == [1, 6]
    with pytest.raises(ValueError, match="--group-by rate: no run has such a setting"):
        group_runs(runs, ["rate"])


def test_sections_that_only_some_runs_have_are_shown_by_their_settings(tmp_path):
    make_run(tmp_path / "clean", loss="triplet")
    make_run(tmp_path / "noisy", loss="triplet", sections=("noise",), noisy_ratio=0.3)
    runs = read_runs([str(tmp_path)])[0]
    assert [group.fields for group in group_runs(runs)] == [{"noisy_ratio": "–"}, {"noisy_ratio": "0.3"}]
    fields = [group.fields for group in group_runs(runs, ["loss.loss", "noisy_ratio"])]
    assert fields == [{"loss": "triplet", "noisy_ratio": "–"}, {"loss": "triplet", "noisy_ratio": "0.3"}]
    assert [group.fields for group in group_runs(runs, ["head_lr"])] == [{"head_lr": "–"}]


def test_means_and_deviations(logs):
    rows, caption = rows_of(logs)
    assert [row.choice for row in rows] == ["best", "last"] * 2
    last = [read_run(logs / "cub" / f"triplet_{seed}").epochs[6]["eval/e_recall_at_1"] for seed in range(3)]
    got = rows[1].metrics["e_recall_at_1"]
    assert (got.mean, got.deviation, got.n) == (statistics.fmean(last), statistics.stdev(last), 3)
    assert rows[0].metrics["e_recall_at_1"].mean >= got.mean
    assert "e_recall@1 on the test split" in caption


def test_markdown(logs):
    rows, caption = rows_of(logs)
    lines = markdown(rows, METRICS, caption=caption).splitlines()
    assert lines[0] == "| loss | epoch | n | e_recall@1 (%) | dists@intra_over_inter |"
    mean, deviation = rows[1].metrics["e_recall_at_1"].mean, rows[1].metrics["e_recall_at_1"].deviation
    assert f"| triplet | last (6) | 3 | {100 * mean:.2f} ± {100 * deviation:.2f} | <u>0." in lines[3]
    assert lines[-1].startswith(caption)


def test_latex_is_escaped(logs):
    rows, caption = rows_of(logs)
    text = latex(rows, METRICS, caption=caption)
    assert r"triplet\_lsd & last (6) & 3 & $" in text
    assert r"dists@intra\_over\_inter" in text
    assert r"\caption{Mean $\pm$ sample" in text
    assert text.count(r"\\") == 1 + len(rows)
    assert escape_latex(r"50%_{a}\~^&#$") == r"50\%\_\{a\}\textbackslash{}\textasciitilde{}\textasciicircum{}\&\#\$"


def test_csv_holds_all_digits(logs):
    rows, caption = rows_of(logs)
    table = list(csv.DictReader(io.StringIO(comma_separated(rows, METRICS, caption=caption))))
    assert [line["loss"] for line in table] == ["triplet", "triplet", "triplet_lsd", "triplet_lsd"]
    assert float(table[0]["e_recall_at_1_mean"]) == rows[0].metrics["e_recall_at_1"].mean


def test_a_single_run_has_no_deviation_and_missing_values_are_counted(tmp_path):
    make_run(tmp_path / "alone", loss="a|b")
    rows, caption = rows_of(tmp_path)
    text = markdown(rows, [*METRICS, "nmi"], caption=caption)
    assert "±" not in text.split("\n\n")[0]
    assert "a\\|b" in text
    assert "| – |" in text
    other = make_run(tmp_path / "other", loss="a|b", seed=1)
    lines = [{key: value for key, value in line.items() if "dists" not in key} for line in read_lines(other)]
    write_record(other, lines)
    assert "(n=1)" in markdown(rows_of(tmp_path)[0], METRICS, caption="")


def read_lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_damaged_and_unfinished_runs_are_named(logs):
    (make_run(logs / "torn") / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo')
    write_record(make_run(logs / "stopped"), [{"epoch": 2, "eval/e_recall_at_1": 0.1}])
    (make_run(logs / "young") / "metrics.jsonl").unlink()
    (make_run(logs / "bad") / "config.json").write_text("[")
    (make_run(logs / "nameless") / "config.json").unlink()
    (logs / "network").mkdir()
    (logs / "network" / "last.pt").write_bytes(b"")
    (make_run(logs / "binary") / "metrics.jsonl").write_bytes(b"\xff\xfe")
    (make_run(logs / "foreign") / "config.json").write_text('{"name": "something else"}')
    runs, skipped = read_runs([str(logs)])
    assert len(runs) == 6
    reasons = {name.rpartition("/")[2]: reason for name, reason in skipped.items()}
    assert "line 2: not JSON" in reasons["torn"]
    assert reasons["stopped"] == "unfinished, 2 of 6 epochs on record"
    assert "no metrics.jsonl" in reasons["young"]
    assert "no config.json" in reasons["nameless"]
    assert "no config.json" in reasons["network"]
    assert "config.json: not JSON" in reasons["bad"]
    assert "metrics.jsonl is not text" in reasons["binary"]
    assert "how many epochs" in reasons["foreign"]


def test_places_are_folders_or_patterns(logs):
    assert len(read_runs([str(logs / "cub" / "triplet_0")])[0]) == 1
    assert len(read_runs([str(logs / "cub" / "*_lsd_*"), str(logs / "cub" / "triplet_lsd_0")])[0]) == 3
    with pytest.raises(ValueError, match="nowhere: no run folder"):
        read_runs([str(logs / "nowhere")])


def test_metrics_take_both_spellings_and_lists_are_left_out(logs):
    runs, _ = read_runs([str(logs)])
    assert choose_metrics(runs) == ["e_recall_at_1", "mAP_c", "dists_at_intra_over_inter", "rho_spectrum_at_1"]
    assert choose_metrics(runs, ["e_recall@1", "eval/mAP_c"]) == ["e_recall_at_1", "mAP_c"]
    with pytest.raises(ValueError, match="--metrics recall: no run has it"):
        choose_metrics(runs, ["recall"])
    with pytest.raises(ValueError, match="--split val"):
        choose_metrics(runs, split="val")


def test_a_group_s_legend_says_what_its_values_are():
    """A bare number or a dash would tell nobody anything."""
    assert Group({"loss": "triplet", "noisy_ratio": "0.3"}, ()).title == "triplet, noisy_ratio 0.3"
    assert Group({"loss": "triplet", "noisy_ratio": ABSENT}, ()).title == "triplet"
    assert Group({"noisy_ratio": ABSENT}, ()).title == "without noisy_ratio"
    assert Group({}, ()).title == "all runs"


def test_differences_that_names_do_not_say_are_in_the_caption(tmp_path):
    for seed in range(2):
        make_run(tmp_path / f"a{seed}", loss="triplet", seed=seed, lr=5e-3, workers=seed)
        make_run(tmp_path / f"b{seed}", loss="triplet_lsd", seed=seed, sections=("noise",), noisy_ratio=0.3, remark="b")
    runs = read_runs([str(tmp_path)])[0]
    groups = group_runs(runs)
    assert [list(group.fields) for group in groups] == [["loss"]] * 2
    assert "The groups also differ in lr, noisy_ratio, " in explain(groups)
    assert not any(word in explain(groups) for word in ("workers", "remark", "seed", "Runs of one group"))
    groups = group_runs(runs, ["loss", "lr"])
    assert "The groups also differ in noisy_ratio, " in explain(groups)
    (group,) = group_runs(runs, ["dataset"])
    assert "Runs of one group differ in loss, lr, noisy_ratio" in explain([group])
    assert "differ" not in explain(group_runs(runs[:1]))


def test_many_differences_are_counted(tmp_path):
    make_run(tmp_path / "plain")
    make_run(tmp_path / "other", loss="ms", sections=("self_taught", "distillation"), lr=1.0, batch_size=3)
    sentence = explain(group_runs(read_runs([str(tmp_path)])[0])).partition("also differ in ")[2]
    assert sentence.startswith("lr, batch_size, ")
    assert sentence.count(",") == 7
    assert re.search(r" and \d+ more settings\.$", sentence)


def test_groups_without_any_figure_are_left_out(tmp_path):
    for loss in ("triplet", "ms", "contrastive"):
        folder = make_run(tmp_path / loss, loss=loss, lr=1e-3 if loss == "ms" else 1e-4)
    write_record(folder, [*read_lines(folder), {"epoch": 3, "val/nmi": 0.5}])
    runs = read_runs([str(tmp_path)])[0]
    assert [group.fields["loss"] for group in group_runs(runs, having=["val/nmi", "val/f1"])] == ["contrastive"]
    assert len(group_runs(runs, ["lr"], having=["val/nmi"])) == 1
    assert len(group_runs(runs, having=["eval/mAP_c"])) == 3


def row(values, choice="last", images=("cub",), metric="e_recall_at_1"):
    return Row({"loss": "x"}, choice, (3,), len(values), {metric: Statistic.of(values)}, images)


def test_an_interval_is_student_s():
    assert Statistic.of([1.0, 2.0, 4.0]).interval == pytest.approx(
        4.3027 * statistics.stdev([1, 2, 4]) / 3**0.5, rel=1e-4
    )
    assert Statistic.of([1.0]).interval is None


def test_the_best_is_marked_and_what_lies_within_its_interval():
    rows = [row([0.5, 0.52]), row([0.6, 0.7]), row([0.1, 0.1]), row([0.2], "best"), row([0.9, 0.8], images=("cars",))]
    assert marks_of(rows, ["e_recall_at_1"]) == {(1, "e_recall_at_1"): BEST, (0, "e_recall_at_1"): CLOSE} | {
        (2, "e_recall_at_1"): CLOSE
    }
    rows = [row([0.61, 0.62]), row([0.7, 0.7001]), row([0.7, 0.7001])]
    assert marks_of(rows, ["e_recall_at_1"]) == {(1, "e_recall_at_1"): BEST, (2, "e_recall_at_1"): BEST}
    lower = [row([0.3], metric="dists_at_intra"), row([0.2], metric="dists_at_intra")]
    assert marks_of(lower, ["dists_at_intra"]) == {(1, "dists_at_intra"): BEST}


def test_marks_in_every_format(logs):
    rows, caption = rows_of(logs)
    best = rows[3].metrics["e_recall_at_1"]
    number, deviation = f"{100 * best.mean:.2f}", f"{100 * best.deviation:.2f}"
    assert f"**{number} ± {deviation}**" in markdown(rows, METRICS, caption=caption)
    assert rf"$\mathbf{{{number}}} \pm {deviation}$" in latex(rows, METRICS, caption=caption)
    assert f"{number} ± {deviation} *" in text(rows, METRICS, caption=caption)
    assert "*" not in comma_separated(rows, METRICS, caption=caption)
    assert "The best mean is bold" in markdown(rows, METRICS, caption=caption)
    assert "The best mean is *" in " ".join(text(rows, METRICS, caption=caption).split())


def test_text_fits_a_terminal(logs):
    metrics = [*METRICS, "mAP_c", "rho_spectrum_at_1"]
    rows, caption = rows_of(logs, metrics)
    lines = text(rows, metrics, caption=caption).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("triplet_lsd" in line for line in lines) == 4, "two blocks"


def test_chosen_columns(logs):
    rows, caption = rows_of(logs)
    lines = markdown(rows, METRICS, caption=caption, columns=("n", "loss")).splitlines()
    assert lines[0].startswith("| n | loss | e_recall@1") and lines[2].startswith("| 3 | triplet | ")
    assert comma_separated(rows, METRICS, caption="", columns=("epochs",)).startswith("epochs,e_recall_at_1_mean")
    with pytest.raises(ValueError, match="--columns rate: there is none; there are loss, "):
        markdown(rows, METRICS, caption=caption, columns=("rate",))


def test_what_needs_no_training_stands_below_the_groups(logs):
    for seed in range(3):
        for loss in ("triplet", "triplet_lsd"):
            (logs / "cub" / f"{loss}_{seed}" / "baselines.json").write_text(
                json.dumps({"colour histogram": {"e_recall_at_1": 0.75}})
            )
    rows, caption = rows_of(logs)
    colours, untrained = rows[-2:]
    assert (colours.title, colours.fields, colours.n) == ("colour histogram", {"loss": "colour histogram"}, 1)
    assert (untrained.title, untrained.n) == ("untrained", 6)
    assert "| colour histogram | – | 1 | 75.00 | – |" in markdown(rows, METRICS, caption=caption)
    assert (
        len(rows_of(logs)[0]) == 6
        and summarise(group_runs(read_runs([str(logs)])[0]), METRICS, split="val")[-1].title == ""
    )


def test_precision_at_1_is_not_shown_twice(tmp_path):
    folder = make_run(tmp_path / "run", epochs=1)
    both = {"eval/recall_at_1": 0.5, "eval/precision_at_1": 0.5}
    write_record(folder, [{"epoch": 1} | both])
    assert choose_metrics(read_runs([str(tmp_path)])[0]) == ["recall_at_1"]
    assert choose_metrics(read_runs([str(tmp_path)])[0], ["precision_at_1"]) == ["precision_at_1"]
    write_record(folder, [{"epoch": 1} | both | {"eval/precision_at_1": 0.4}])
    assert choose_metrics(read_runs([str(tmp_path)])[0]) == ["recall_at_1", "precision_at_1"]
