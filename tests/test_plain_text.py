"""Names in pictures are drawn as they are written."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from dml.data import ImageRecords
from dml.evaluation.plots import plot_curves, plot_gallery, plot_similar, tsne_page
from dml.evaluation.plots.certainty import plot_certainty
from dml.evaluation.plots.confusion import plot_confusion
from dml.plain_text import plain_text

# A formula without its letters, one with an unknown command, half a formula, an escaped one, markup, a placeholder.
NAMES = ["a$_$b", "$\\frac$", "5$ bill", "a\\$b$", "<b>x</b>", 'it\'s "%{x}" & y']
LABELS = np.arange(12) % 6


@pytest.fixture
def images(tmp_path) -> ImageRecords:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"$x_{number}$ {number}.png" for number in range(12)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return ImageRecords(tuple(map(str, paths)), LABELS, tuple(NAMES))


def test_every_picture_of_a_run(tmp_path, images, drawn):
    others = np.array([[j for j in range(12) if j != i][:3] for i in range(12)])
    plot_confusion(LABELS, LABELS[::-1], NAMES, tmp_path / "confusion.png")
    plot_gallery(images, images, others, np.ones((12, 3)), tmp_path / "g.png", num_queries=12)
    plot_certainty(images, np.arange(12.0), LABELS > 3, tmp_path / "certainty.png")
    plot_similar(images, np.arange(3), others[:3], np.ones((3, 3)), tmp_path / "similar.png")
    run = tmp_path / "run $_$ 1"
    run.mkdir()
    (run / "metrics.jsonl").write_text(json.dumps({"epoch": 1, "train/loss": 1.0}) + "\n")
    plot_curves(run / "metrics.jsonl", tmp_path / "curves.png")
    assert drawn >= {*NAMES, *(Path(path).name for path in images.paths[:3]), "run $_$ 1"}


def test_the_users_own_settings_do_not_change_it(tmp_path, drawn):
    with matplotlib.rc_context({"text.usetex": True}):
        plot_confusion(LABELS, LABELS, NAMES, tmp_path / "confusion.png")
    assert set(NAMES) <= drawn


def test_characters_that_the_font_lacks_are_said_once(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plot_confusion(LABELS, LABELS, ["森", "林", "oak", "木", "elm", "森林"], tmp_path / "confusion.png")
    (text,) = [str(warning.message) for warning in caught]
    assert text == "the font of the pictures lacks these characters, which are drawn as boxes: 木林森"


def test_other_warnings_pass():
    with pytest.warns(DeprecationWarning, match="another"), plain_text():
        warnings.warn("another", DeprecationWarning)


def test_a_page_of_plotlys(tmp_path, images):
    tsne_page(torch.randn(12, 4), images, tmp_path / "page.html", title="t $_$ <i>")
    page = (tmp_path / "page.html").read_text()
    assert '"typesetMath": false' in page
    written = [json.dumps(name).replace("/", "\\u002f") for name in ("a$_$b", "$\\frac$", 'it\'s "%{x}" &amp; y')]
    for name in (*written, '"&lt;b&gt;x&lt;\\u002fb&gt;"'):
        assert f'"name":{name}' in page and f'"text":{name}' in page
    assert page.count('"hovertemplate":"%{text}\\u003cextra\\u003e\\u003c\\u002fextra\\u003e"') == len(NAMES)
