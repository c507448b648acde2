"""The committed transfer scripts are what the template gives."""

from __future__ import annotations

from pathlib import Path

import make_transfer_scripts

ROOT = Path(__file__).resolve().parent.parent


def test_the_committed_scripts_are_the_template_s():
    generated = make_transfer_scripts.scripts()
    assert len(generated) == 3 * 3 * 8
    assert {path: (ROOT / "scripts" / path).read_text() for path in generated} == generated
    committed = {str(path.relative_to(ROOT / "scripts")) for path in ROOT.glob("scripts/*/transfer_*.sh")}
    assert committed == set(generated)


def test_published_figures_stand_beside_the_command():
    text = make_transfer_scripts.script("compress", "SOP", "Relaxed_Contra")
    assert "# Reported: R@1 78.4, R@10 90.4, R@100 96.1" in text
    assert "--loss Relaxed_Contra --model resnet18 --embedding-size 128" in text
    assert "SOP_resnet50_512dim_Proxy_Anchor_ckpt.pth" in text
    assert "no figure" in make_transfer_scripts.script("self", "cub", "Relaxed_MS")
