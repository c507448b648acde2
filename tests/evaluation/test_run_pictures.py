"""The pictures of a run, of few test images too."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from dml.data import load_dataset
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.pictures import draw_run


@pytest.mark.slow
@pytest.mark.parametrize(("per_class", "drawn"), [(2, {"curves", "gallery"}), (3, {"curves", "gallery", "t-SNE page"})])
def test_fewer_than_five_test_images_are_not_mapped(tmp_path, per_class, drawn):
    for name in "abcd":
        for i in range(per_class):
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6)).save(tmp_path / "photos" / name / f"{i}.png")
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"epoch": 1, "train/loss": 1.0}) + "\n")
    data = load_dataset("folder", tmp_path / "photos")
    embeddings = torch.randn(len(data.query), 4, generator=torch.Generator().manual_seed(0))
    evaluation = Evaluation({}, embeddings, torch.from_numpy(data.query.labels))
    pictures = draw_run(tmp_path, evaluation, data, distance="cosine", seed=0, select_metric="recall_at_1")
    assert set(pictures) == drawn
    assert all(path.is_file() for path in pictures.values())
