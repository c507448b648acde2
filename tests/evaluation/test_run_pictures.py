"""The pictures of a run, of few test images too."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from dml.data import ImageRecords, load_dataset
from dml.evaluation import pictures
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.pictures import draw_run
from dml.neighbours import nearest_neighbours


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
    drawn_pictures = draw_run(tmp_path, evaluation, data, distance="cosine", seed=0, select_metric="recall_at_1")
    assert set(drawn_pictures) == drawn
    assert all(path.is_file() for path in drawn_pictures.values())


@pytest.mark.parametrize("own", [True, False])
def test_queries_of_a_large_gallery_are_drawn_from_some(tmp_path, own, monkeypatch):
    """The same rows as of a search for all."""
    num, seen = 30, {}
    generator = torch.Generator().manual_seed(0)
    embeddings, labels = torch.randn(num, 4, generator=generator), np.arange(num) % 5
    records = ImageRecords(tuple(map(str, range(num))), labels, tuple("abcde"))
    data = SimpleNamespace(query=records, gallery=None if own else records)
    given = (embeddings, torch.from_numpy(labels))
    evaluation = Evaluation({}, *given) if own else Evaluation({}, *given, *given)
    monkeypatch.setattr(pictures, "GALLERY_QUERIES", 11)
    monkeypatch.setattr(pictures, "plot_gallery", lambda *given, **how: seen.update(given=given, how=how))
    pictures.draw_gallery(tmp_path / "g.png", evaluation, data, distance="cosine", seed=4)
    queries, gallery, indices, _, _ = seen["given"]
    rows = [int(path) for path in queries.paths]
    assert (len(set(rows)), seen["how"]["drawn_from"], gallery) == (11, 30, records)
    exclude = torch.arange(num) if own else None
    whole = nearest_neighbours(embeddings, embeddings, 8, exclude=exclude)[0]
    assert np.array_equal(indices, whole[rows].numpy())
