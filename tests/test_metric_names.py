"""Spellings of metrics: the flag's, the record's, the table's."""

from __future__ import annotations

import pytest

from dml.metric_names import is_share, label, metric_key, value_text

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
