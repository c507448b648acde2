"""A page that shows embeddings in the plane: t-SNE, self-contained and readable offline."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from dml.data import ImageRecords
from dml.data.images import image_of
from dml.writing import naming

if TYPE_CHECKING:
    import plotly.graph_objects as go

_PCA_DIMENSIONS = 50
_TSNE_STEPS = 500  # half of scikit-learn's: 5,000 points take 4 s in the plane and 13 s in space on two CPU threads
_THUMBNAIL_PIXELS = 64
_SYMBOLS = ("circle", "square", "cross")
_LEGEND_CLASSES = 40  # more names than this no legend shows readably

# Shows the image of the point under the mouse in the corner of the plot.
_HOVER_SCRIPT = """
const plot = document.getElementById("{plot_id}");
const image = document.createElement("img");
image.style.cssText = "position:fixed;left:16px;top:72px;width:128px;image-rendering:pixelated;" +
    "border:2px solid #444;display:none;background:#fff";
document.body.appendChild(image);
plot.on("plotly_hover", event => {
    const source = event.points[0].customdata;
    if (source) { image.src = source; image.style.display = "block"; }
});
plot.on("plotly_unhover", () => { image.style.display = "none"; });
"""


def tsne_page(
    embeddings: Tensor,
    images: ImageRecords,
    out_html: Path | str,
    *,
    thumbnails: bool = True,
    proxies: Tensor | None = None,
    proxy_names: Sequence[str] = (),
    dimensions: int = 2,
    max_points: int = 2000,
    title: str = "t-SNE of the embeddings",
    seed: int = 0,
) -> None:
    """Write a plot of the embeddings, a colour for each class; the mouse shows class and image of a point.

    PCA to 50 dimensions, then scikit-learn's t-SNE. Of more than ``max_points`` embeddings randomly chosen
    whole classes are shown; the title says how many.

    Args:
        embeddings: (N, D) as they are evaluated.
        images: the N images.
        out_html: the page; it holds everything it needs.
        thumbnails: embed the images; False shows the names of their classes only.
        proxies: (P, D) proxies on the embeddings' scale, shown as black stars; of other classes than the embeddings
            where those are of a test split.
        proxy_names: names of the P proxies' classes.
        dimensions: 2, or 3 for a plot that turns.
        seed: of the choice of classes and of t-SNE.

    Raises:
        ValueError: shapes that do not fit, or fewer than 5 embeddings.
        OSError: an image that cannot be read.
    """
    if dimensions not in (2, 3):
        raise ValueError(f"dimensions must be 2 or 3, got {dimensions}")
    if proxies is not None and len(proxies) != len(proxy_names):
        raise ValueError(f"{len(proxies)} proxies need as many names, got {len(proxy_names)}")
    if not 5 <= len(embeddings) == len(images):
        raise ValueError(
            f"t-SNE needs at least 5 embeddings and as many images; got {len(embeddings)} and {len(images)}"
        )
    embeddings, labels, class_names = embeddings.float().cpu().numpy(), images.labels, images.class_names
    rows = whole_classes(labels, max_points, seed)
    labels_shown = labels[rows]
    classes = np.unique(labels_shown)
    vectors = embeddings[rows]
    if proxies is not None:
        vectors = np.concatenate([vectors, proxies.detach().float().cpu().numpy()])
    places = _tsne(vectors, dimensions, seed)

    import plotly.graph_objects as go  # here: a run without pictures needs none of it

    figure = go.Figure()
    for number, label in enumerate(classes):
        name = _as_text(class_names[label])
        members = np.flatnonzero(labels_shown == label)
        small = (
            [_data_uri(image_of(images, rows[i], within=_THUMBNAIL_PIXELS)) for i in members] if thumbnails else None
        )
        _add_points(figure, places[members], name, _class_marker(number), customdata=small)
    if proxies is not None:
        texts = [f"proxy of {_as_text(name)}" for name in proxy_names]
        star = {"color": "black", "size": 8, "symbol": "star" if dimensions == 2 else "diamond"}
        _add_points(figure, places[len(rows) :], "proxies", star, texts=texts)
    shown = f"{len(rows):,} images" + (f" of {len(classes):,} classes" if len(class_names) > 1 else "")
    if len(rows) < len(labels):
        shown += f", of {len(labels):,} images of {len(np.unique(labels)):,}"
    stars = f"; black: {len(proxies):,} proxies" if proxies is not None else ""
    figure.update_layout(
        title=f"{_as_text(title)}<br><sup>{shown}{stars}; axes have no unit</sup>",
        showlegend=len(class_names) > 1 and len(classes) <= _LEGEND_CLASSES,
        template="plotly_white",
        legend={"itemsizing": "constant"},
    )
    if dimensions == 2:
        figure.update_xaxes(showticklabels=False, zeroline=False)
        figure.update_yaxes(showticklabels=False, zeroline=False, scaleanchor="x")
    script = _HOVER_SCRIPT if thumbnails else None
    config = {"typesetMath": False}  # between dollars stands no formula
    page = figure.to_html(include_plotlyjs=True, post_script=script, default_height="96vh", config=config)
    with naming(out_html):
        Path(out_html).write_text(page, encoding="utf-8")


def whole_classes(labels: np.ndarray, max_points: int, seed: int) -> np.ndarray:
    """Rows (n ≤ max_points,) of as many randomly chosen whole classes as fit; of one class alone a part."""
    classes, counts = np.unique(labels, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(classes))
    num_fitting = max(1, np.searchsorted(counts[order].cumsum(), max_points, side="right"))
    return np.flatnonzero(np.isin(labels, classes[order[:num_fitting]]))[:max_points]


def _tsne(vectors: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    """Places (n, dimensions) of the vectors (n, D)."""
    num_components = min(_PCA_DIMENSIONS, *vectors.shape)
    reduced = PCA(num_components, random_state=seed).fit_transform(vectors)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(dimensions, perplexity=perplexity, init="pca", max_iter=_TSNE_STEPS, random_state=seed).fit_transform(
        reduced
    )


def _as_text(name: str) -> str:
    """A name without marks of plotly's, which reads <b> as bold; of characters by name it knows few, not quotes."""
    return html.escape(str(name), quote=False)


def _class_marker(number: int) -> dict[str, Any]:
    """Colour and symbol of the ``number``-th class; multiples of the golden ratio keep hues apart."""
    hue, lightness = round(360 * (number * 0.618034 % 1)), (38, 58)[number % 2]
    return {"color": f"hsl({hue},75%,{lightness}%)", "size": 5, "symbol": _SYMBOLS[number % len(_SYMBOLS)]}


def _add_points(
    figure: go.Figure,
    places: np.ndarray,
    name: str,
    marker: dict[str, Any],
    *,
    customdata: list[str] | None = None,
    texts: list[str] | None = None,
) -> None:
    """Add the points (n, dimensions) of one kind; the mouse shows the ``texts`` of points, or the kind's name."""
    import plotly.graph_objects as go

    options = {
        "mode": "markers",
        "name": name,
        "marker": marker,
        "customdata": customdata,
        "text": name if texts is None else texts,
        "hovertemplate": "%{text}<extra></extra>",  # a name in the template itself could hold a %{…}
    }
    if places.shape[1] == 2:
        figure.add_trace(go.Scatter(x=places[:, 0], y=places[:, 1], **options))
    else:
        figure.add_trace(go.Scatter3d(x=places[:, 0], y=places[:, 1], z=places[:, 2], **options))


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
