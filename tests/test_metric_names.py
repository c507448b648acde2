"""What is said of metrics: spellings of the flag, the record and the table, units, which way is better."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from dml import metric_names
from dml.evaluation import metrics as functions
from dml.metric_names import (
    METRICS,
    MetricName,
    best_of,
    family_label,
    is_better,
    is_metric,
    is_share,
    label,
    metric_key,
    value_text,
)

CODE = Path(__file__).resolve().parent.parent / "code"

SPELLINGS = {
    "e_recall@1": "e_recall_at_1",
    "c_recall@100": "c_recall_at_100",
    "dists@intra_over_inter": "dists_at_intra_over_inter",
    "rho_spectrum@-1": "rho_spectrum_at_m1",
    "rho_spectrum@0": "rho_spectrum_at_0",
    "mAP_1000": "mAP_1000",
}


@pytest.mark.parametrize(("name", "key"), SPELLINGS.items())
def test_key_and_label_are_inverse(name, key):
    assert metric_key(name) == metric_key(key) == key
    assert label(key) == name


def test_labels():
    names = ("recall_at_10", "map_at_r", "precision_at_1", "new_one")
    assert [label(n) for n in names] == ["R@10", "MAP@R", "P@1", "new_one"]


def test_only_shares_are_printed_in_per_cent():
    assert is_share("e_recall_at_1")
    assert value_text("e_recall_at_1", 0.5) == "50.00"
    assert not is_share("rho_spectrum_at_1")
    assert value_text("dists_at_inter", 1.0028) == "1.0028"
    assert value_text("rho_spectrum_at_0", [0.5, 0.5]) == "2 values"


LOWER = ("dists@intra", "dists@intra_over_inter", "rho_spectrum@m", "loss", "total_seconds")


def test_which_way_is_better():
    assert tuple(name for name, metric in METRICS.items() if metric.lower_is_better) == LOWER
    better = {"recall_at_1": 0.6, "dists_at_inter": 0.6, "dists_at_intra": 0.4, "rho_spectrum_at_m1": 0.0}
    for key, value in better.items():
        assert is_better(key, value, than=0.5)
        assert not is_better(key, 0.5, than=value)
        assert not is_better(key, value, than=value)
        assert is_better(key, value, than=None)
        assert is_better(key, value, than=math.nan)
        assert not is_better(key, math.nan, than=value)


def test_the_best_is_the_first_of_equals():
    values = [("a", math.nan), ("b", 0.2), ("c", 0.5), ("d", 0.5), ("e", 0.2)]
    assert best_of("recall_at_1", values) == "c"
    assert best_of("dists_at_intra", values) == "b"
    assert best_of("recall_at_1", []) is None


def test_what_is_no_metric():
    assert is_metric("recall_at_32") and is_metric("rho_spectrum_at_m2") and is_metric("top_1")
    assert not any(map(is_metric, ("seconds", "queries", "recall", "recall_at_x", "lr")))
    labels = {"recall_at_10": "R@k", "e_recall_at_1": "e_recall@k", "map_at_r": "MAP@R"}
    assert {key: family_label(key) for key in labels} == labels


def test_a_metric_without_a_function_cannot_be(monkeypatch):
    monkeypatch.setitem(metric_names.EMBEDDING_METRICS, "median_rank", MetricName("median rank"))
    with pytest.raises(ValueError, match=r"^metrics without a function: median_rank$"):
        functions._functions()
    monkeypatch.delitem(metric_names.EMBEDDING_METRICS, "median_rank")
    monkeypatch.delitem(metric_names.EMBEDDING_METRICS, "map_at_r")
    with pytest.raises(ValueError, match=r"^functions without an entry in dml\.metric_names: map_at_r$"):
        functions._functions()


def test_the_page_explains_every_metric():
    page = (CODE.parent / "docs" / "metrics.md").read_text()
    table = page.partition("| name |")[2].partition("\n\n")[0]
    for name in metric_names.EMBEDDING_METRICS:
        prefix, base = ("c_", name[2:]) if name.startswith("c_") and name != "c_recall@k" else ("", name)
        assert f"`{name}`" in table or (prefix and f"`{base}`" in table and "`c_…`" in table), name


def test_reports_need_no_torch():
    """It takes seconds to import."""
    code = (
        "import sys; import dml.metric_names, dml.report.summary, dml.report.tables; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(CODE)}, check=True)
