"""The pictures are made from what they are given, and say so when they cannot be."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import ExifTags, Image

from dml.data.records import ImageRecords, PixelRecords
from dml.evaluation.plots import gallery, plot_curves, plot_gallery, plot_similar, tsne_page
from dml.evaluation.plots.curves import _choose_metrics
from dml.evaluation.plots.gallery import _choose_queries, _gallery_title
from dml.evaluation.plots.tsne import whole_classes


@pytest.fixture
def images(tmp_path):
    """Twelve small images of three classes."""
    labels = np.arange(12) % 3
    paths = []
    for number, label in enumerate(labels):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (20 + number, 16), color=(80 * int(label), 20 * number, 0)).save(path)
        paths.append(str(path))
    return ImageRecords(tuple(paths), labels, ("<b>ant</b>", "bee $x$", "a class with a very long name indeed"))


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def is_picture(path):
    with Image.open(path) as image:
        return image.format == "PNG" and image.width > 300 and len(image.convert("L").getcolors()) > 5


def test_curves(tmp_path):
    lines = [{"epoch": 0, "eval/recall_at_1": 0.1, "eval/map_at_r": 0.05}]
    lines += [{"epoch": e, "train/loss": 3.0 / e, "note": "x"} for e in (1, 2)]
    lines += [{"epoch": e, "eval/recall_at_1": 0.2 * e, "val/map_at_r": 0.1 * e} for e in (1, 2)]
    path = write_lines(tmp_path / "metrics.jsonl", lines)
    plot_curves(path, tmp_path / "curves.png", title="a run")
    assert is_picture(tmp_path / "curves.png")
    write_lines(path, lines[:1])
    plot_curves(path, tmp_path / "before_training.png")
    assert is_picture(tmp_path / "before_training.png")
    write_lines(path, [{"epoch": 1, "train/loss": 0.5}])
    plot_curves(path, tmp_path / "without_classes.png")
    widths = [Image.open(tmp_path / f"{name}.png").width for name in ("curves", "before_training", "without_classes")]
    assert widths == [1300, 650, 650], "no panel is empty"


def test_curves_show_the_metric_that_chooses():
    on_record = [
        "train/loss",
        "eval/recall_at_1",
        "eval/map_at_r",
        "eval/nmi",
        "eval/seconds",
        "val/nmi",
        "eval/queries",
    ]
    assert _choose_metrics(on_record, "nmi") == (["nmi", "recall_at_1"], [])
    assert _choose_metrics(on_record, None) == (["recall_at_1", "map_at_r"], [])
    on_record = ["eval/dists_at_intra", "eval/f1", "eval/rho_spectrum_at_0"]
    assert _choose_metrics(on_record, "dists_at_intra") == (["f1"], ["dists_at_intra"])
    assert _choose_metrics(on_record, "recall_at_1") == (["f1"], [])


def test_a_metric_with_a_unit_of_its_own_has_another_panel(tmp_path):
    values = {"eval/recall_at_1": 0.2, "val/recall_at_1": 0.3, "eval/dists_at_intra": 0.4, "val/dists_at_intra": 0.5}
    path = write_lines(tmp_path / "metrics.jsonl", [{"epoch": 1, "train/loss": 1.0} | values])
    plot_curves(path, tmp_path / "curves.png", select_metric="dists_at_intra")
    assert Image.open(tmp_path / "curves.png").width == 1950


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds neither train/loss nor eval/recall_at_1"),
        ('{"epoch": 1, "train/loss": 1}\n{"epoch"', r"metrics\.jsonl, line 2: not JSON"),
        ("[1]\n", r"metrics\.jsonl, line 1: not a JSON object"),
    ],
)
def test_curves_name_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        plot_curves(path, tmp_path / "curves.png")


def test_gallery(tmp_path, images):
    indices = np.array([[j for j in range(12) if j != i][:5] for i in range(12)])
    out = tmp_path / "gallery.png"
    plot_gallery(images, images, indices, np.ones((12, 5)), out, num_queries=4, num_neighbours=9)
    assert is_picture(out)
    with Image.open(out) as image:
        colors = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for frame in ((0x2A, 0x8A, 0x3E), (0xC9, 0x3A, 0x3A)):
        assert (np.abs(colors.astype(int) - frame).sum(1) < 12).sum() > 200


def test_a_neighbour_that_is_none_leaves_its_place_empty(tmp_path, images, monkeypatch):
    shown = []
    monkeypatch.setattr(gallery, "show_image", lambda axes, image, color, *words: shown.append((image.width, color)))
    indices, values = np.array([[0, 3], [1, 4]]), np.array([[0.5, -np.inf], [-np.inf, -np.inf]])
    plot_gallery(images.take([0, 1]), images, indices, values, tmp_path / "gallery.png")
    assert shown == [(20, gallery.QUERY), (20, gallery.RIGHT), (21, gallery.QUERY)]


def test_gallery_refuses_what_does_not_fit(tmp_path, images):
    with pytest.raises(ValueError, match=r"12 queries, neighbours \(11, 2\)"):
        plot_gallery(images, images, np.zeros((11, 2), int), np.zeros((11, 2)), tmp_path / "x.png")


@pytest.mark.parametrize(("num_right", "num_wrong", "shown_wrong"), [(50, 50, 4), (50, 1, 1), (2, 50, 6), (0, 3, 3)])
def test_half_of_the_queries_are_failures(num_right, num_wrong, shown_wrong):
    right = np.arange(num_right + num_wrong) < num_right
    rows = _choose_queries(right, 8, seed=0)
    assert len(set(rows.tolist())) == len(rows) == min(8, len(right))
    assert (~right[rows]).sum() == shown_wrong
    assert f"of which {shown_wrong} were chosen because" in _gallery_title(right, rows)


def test_the_title_says_where_queries_were_drawn_from():
    right, rows = np.array([True, False, True, False]), np.array([0, 1])
    assert "(of all 4 queries 50.0 % are)" in _gallery_title(right, rows)
    assert "(of 4 of 9,000 queries 50.0 % are)" in _gallery_title(right, rows, 9000)


def shown_sizes(images, folder, monkeypatch) -> set[tuple[int, int]]:
    """(width, height) of what the gallery, the picture of similar images and the t-SNE page show of ``images``."""
    sizes, imshow = set(), Axes.imshow
    monkeypatch.setattr(Axes, "imshow", lambda axes, image, **how: sizes.add(image.size) or imshow(axes, image, **how))
    others = (np.arange(len(images))[:, None] + [1, 2]) % len(images)
    plot_gallery(images, images, others, np.ones(others.shape), folder / "gallery.png")
    plot_similar(images, np.arange(2), others[:2], np.ones((2, 2)), folder / "similar.png")
    tsne_page(torch.randn(len(images), 3), images, folder / "page.html")
    small = thumbnails_of(folder / "page.html")
    assert len(small) == len(images)
    assert {image.size for image in small} == sizes
    return sizes


def thumbnails_of(page) -> list[Image.Image]:
    """The images that a t-SNE page brings along."""
    texts = re.findall(r"data:image\\u002fjpeg;base64,([^\"]+)", page.read_text())
    return [Image.open(io.BytesIO(base64.b64decode(text.replace("\\u002f", "/")))) for text in texts]


@pytest.mark.slow
@pytest.mark.parametrize("upright", [False, True])
def test_pictures_show_what_the_network_sees(tmp_path, monkeypatch, upright):
    """Turned upright, or not, as the data set's images are."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (12, 8)).save(tmp_path / "lying.jpg", exif=exif)
    records = ImageRecords((str(tmp_path / "lying.jpg"),) * 5, np.arange(5) % 2, ("a", "b"), upright=upright)
    assert shown_sizes(records, tmp_path, monkeypatch) == {(8, 12) if upright else (12, 8)}


def test_pictures_show_images_that_are_in_memory(tmp_path, monkeypatch):
    pixels = np.zeros((5, 4, 6, 3), np.uint8)
    names = tuple(f"data_batch_1 image {number}" for number in range(5))
    assert shown_sizes(PixelRecords(names, np.arange(5) % 2, ("a", "b"), pixels), tmp_path, monkeypatch) == {(6, 4)}


@pytest.mark.slow
@pytest.mark.parametrize("dimensions", [2, 3])
def test_tsne_page_stands_alone(tmp_path, images, dimensions):
    embeddings = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    out = tmp_path / "tsne.html"
    options = {"dimensions": dimensions, "proxies": torch.randn(2, 6), "proxy_names": ["bee", "<i>fly"]}
    tsne_page(embeddings, images, out, **options)
    page = out.read_text()
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page)
    assert "&lt;b&gt;ant" in page or r"\u0026lt;b\u0026gt;ant" in page
    assert "<b>ant" not in page
    assert len(thumbnails_of(out)) == 12
    assert "proxy of bee" in page
    assert "<i>fly" not in page
    assert "black: 2 proxies" in page
    assert "12 images of 3 classes" in page


def test_tsne_page_showswhole_classes(tmp_path):
    labels = np.arange(60) % 6
    images = unread(labels, 6)
    embeddings = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    out = tmp_path / "tsne.html"
    tsne_page(embeddings, images, out, max_points=25, thumbnails=False)
    assert "20 images of 2 classes, of 60 images of 6" in out.read_text()
    assert not thumbnails_of(out)
    rows = whole_classes(labels, 25, seed=0)
    assert np.unique(labels[rows], return_counts=True)[1].tolist() == [10, 10]
    assert len(whole_classes(np.zeros(50, int), 25, seed=0)) == 25


def unread(labels: np.ndarray, num_classes: int = 1) -> ImageRecords:
    """Images of which no picture is made."""
    names = tuple(f"class {c}" for c in range(num_classes))
    return ImageRecords(("nowhere.png",) * len(labels), labels.astype(np.int64), names)


def test_tsne_page_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(ValueError, match="at least 5 embeddings"):
        tsne_page(torch.zeros(4, 2), unread(np.zeros(4)), tmp_path / "x.html")
    with pytest.raises(ValueError, match="got 6 and 5"):
        tsne_page(torch.zeros(6, 2), unread(np.zeros(5)), tmp_path / "x.html")
    images = unread(np.zeros(6))
    with pytest.raises(ValueError, match="2 proxies need as many names, got 1"):
        proxies = {"proxies": torch.zeros(2, 2), "proxy_names": ["a"]}
        tsne_page(torch.zeros(6, 2), images, tmp_path / "x.html", **proxies)
    with pytest.raises(ValueError, match="dimensions must be 2 or 3"):
        tsne_page(torch.zeros(6, 2), images, tmp_path / "x.html", dimensions=4)
