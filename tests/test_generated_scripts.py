"""The committed scripts of transfer and of self-distillation are what their templates give."""

from __future__ import annotations

from pathlib import Path

import pytest

import make_lsd_scripts
import make_transfer_scripts
from dml.losses import LOSSES

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("template", "pattern", "number"),
    [(make_transfer_scripts, "transfer_*.sh", 3 * 3 * 8), (make_lsd_scripts, "lsd_*.sh", 3 * 16 * 2)],
)
def test_the_committed_scripts_are_the_template_s(template, pattern, number):
    generated = template.scripts()
    assert len(generated) == number
    assert {path: (ROOT / "scripts" / path).read_text() for path in generated} == generated
    committed = {str(path.relative_to(ROOT / "scripts")) for path in ROOT.glob(f"scripts/*/{pattern}")}
    assert committed == set(generated)


def test_every_published_criterion_has_its_scripts():
    published = {spelling for spec in LOSSES.values() if spec.recipe == "lsd" for spelling in spec.spellings}
    assert set(make_lsd_scripts.CRITERIA) == {*published, "adversarial_separation"}
    for spelling, (_, miner) in make_lsd_scripts.CRITERIA.items():
        spec = LOSSES[spelling]
        assert miner in spec.miners if spec.tuples else not miner


def test_published_figures_stand_beside_the_command():
    text = make_transfer_scripts.script("compress", "SOP", "Relaxed_Contra")
    assert "# Reported: R@1 78.4, R@10 90.4, R@100 96.1" in text
    assert "--loss Relaxed_Contra --model resnet18 --embedding-size 128" in text
    assert "SOP_resnet50_512dim_Proxy_Anchor_ckpt.pth" in text
    assert "no figure" in make_transfer_scripts.script("self", "cub", "Relaxed_MS")
