"""Run folders with made-up figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from dml.config import LossConfig, train_config


def make_run(
    folder: Path,
    *,
    loss: str = "triplet",
    seed: int = 0,
    epochs: int = 6,
    level: float = 0.6,
    sections: tuple[str, ...] = (),
    **values,
) -> Path:
    """A run whose e_recall@1 rises to about ``level``, with more metrics that go along with it or against it."""
    noise = np.random.default_rng([seed, int(1000 * level)])
    settings = {"seed": seed, "epochs": epochs, "warm": 0, "select_metric": "e_recall_at_1", "lr_decay_step": 1}
    config = train_config("proxy_anchor", LossConfig(loss), settings | values, *sections)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config.to_json())
    lines = []
    for epoch in range(epochs + 1):
        recall = float(level * (1 - math.exp(-(epoch + 1) / 2)) + noise.normal(0, 0.01))
        lines.append({"epoch": epoch, "train/loss": 1 / (epoch + 1)} if epoch else {"epoch": 0})
        metrics = {
            "e_recall_at_1": recall,
            "mAP_c": recall**2 + float(noise.normal(0, 0.005)),
            "dists_at_intra_over_inter": 1 - recall / 2 + float(noise.normal(0, 0.02)),
            "rho_spectrum_at_1": float(noise.uniform(0.1, 0.3)),
            "rho_spectrum_at_0": [0.6, 0.4],
            "seconds": 1.0,
        }
        lines.append({"epoch": epoch} | {f"eval/{name}": value for name, value in metrics.items()})
    write_record(folder, lines)
    return folder


def write_record(folder: Path, lines: list[dict]) -> None:
    """Replace the record."""
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
