"""What one must know of an exported network: how to prepare images, and where it comes from."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from dml.api.embedder import Embedder
from dml.metric_names import label, value_text
from dml.models.convert import LoadedModel
from dml.redact import redact

LICENCE = "mit"


def preprocessor_of(embedder: Embedder, formats: dict[str, bool]) -> dict[str, Any]:
    """How an image becomes the network's input, as plain values.

    Args:
        formats: file → whether the normalisation is inside.
    """
    spec, how = embedder.input_spec, embedder.preprocessing
    return {
        "steps": [
            "decode to 8-bit RGB, transparency on white" + (", turned as EXIF says" if how.upright else ""),
            f"scale the shorter side to {how.resize} pixels, {spec.interpolation} with antialiasing",
            f"cut out the central square of {how.crop_size} pixels",
            "divide by 255",
        ],
        "do_exif_transpose": how.upright,
        "do_resize": True,
        "size": {"shortest_edge": how.resize},
        "resample": Image.Resampling[spec.interpolation.upper()].value,
        "do_center_crop": True,
        "crop_size": {"height": how.crop_size, "width": how.crop_size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "by_pillow": how.pillow,
        "bits_of_deep_images": how.bits,
        "normalisation": {
            "inside_of": [file for file, inside in formats.items() if inside],
            "formula": "(scale * image - mean) / std, channels reversed before where bgr",
            "mean": spec.mean,
            "std": spec.std,
            "scale": spec.scale,
            "bgr": spec.bgr,
        },
        "input": {"name": "images", "shape": ["batch", 3, how.crop_size, how.crop_size], "type": "float32"},
        "output": {"name": "embedding", "shape": ["batch", embedder.embedding_size], "type": "float32"},
        "compare_by": embedder.distance,
    }


def model_card(
    embedder: Embedder, loaded: LoadedModel, written: dict[str, str], *, command: str | None, parity: str
) -> str:
    """README.md in the layout of the Hugging Face hub. No place on this machine is in it.

    Args:
        written: file → what it is.
        command: that trained the network, None where that is not known.
        parity: how what was written agrees with ours, in words.
    """
    config = loaded.config or {}
    data, split = config.get("data") or {}, loaded.split
    name = (config.get("run") or {}).get("data_name") or data.get("dataset") or "unknown images"
    network = loaded.architecture
    lines = [
        "---",
        f"license: {LICENCE}",
        "pipeline_tag: image-feature-extraction",
        "library_name: dml",
        "tags: [metric-learning, image-retrieval, embedding]",
        "---",
        "",
        f"# {network.describe()}, trained on {_line(str(name))}",
        "",
        f"Maps an image to {embedder.embedding_size} numbers; images of the same thing lie close together by their"
        f" {embedder.distance} {'similarity' if embedder.distance == 'cosine' else 'distance'}."
        f" {loaded.description[:1].upper()}{loaded.description[1:]}.",
        "",
        "| file | what it is |",
        "|---|---|",
        *[f"| `{file}` | {about} |" for file, about in written.items()],
        "",
        parity,
        "",
        "## Data and split",
        "",
        f"Data set `{_line(str(data.get('dataset', 'not known')))}`."
        + ("" if split is None else f" {_split(split.train_classes, split.test_classes)}")
        + (f" {len(embedder.classes):,} classes trained it: `classes.txt`." if embedder.classes else ""),
        "",
        "## Metrics",
        "",
        *_metrics(loaded),
        "",
        "## Training",
        "",
        f"    {command}" if command else "How it was trained is not known.",
        "",
        "## Licence",
        "",
        "The code that made it is under the MIT licence. Whether its weights may be used as freely depends on the"
        " images that trained it, which are not part of this folder, and on the weights that it started from.",
        "",
    ]
    return "\n".join(lines)


def command_of_run(checkpoint: Path) -> str | None:
    """The command that began the run of a checkpoint, without secrets and without places; None: it is not known."""
    try:
        words = json.loads((checkpoint.parent / "environment.json").read_text())["sessions"][0]["command"]
        return shlex.join(_without_place(word) for word in shlex.split(redact(words)))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _without_place(word: str) -> str:
    flag, is_assigned, value = word.partition("=")
    if is_assigned and flag.startswith("--"):
        return f"{flag}={_without_place(value)}"
    # /home/me/photos → photos, but code/train.py stays
    return PurePath(word).name if word.startswith(("/", "~", "..")) or re.match(r"[A-Za-z]:[\\/]", word) else word


def _split(train: tuple[str, ...], test: tuple[str, ...]) -> str:
    shared = len(set(train) & set(test))
    sides = f"{len(train):,} classes on the side of training, {len(test):,} on that of the test"
    return f"{sides}, {shared:,} of them on both." if shared else f"{sides}, disjoint."


def _metrics(loaded: LoadedModel) -> list[str]:
    found = {name: value for name, value in (loaded.metrics or {}).items() if isinstance(value, int | float)}
    if not found:
        return ["None were kept with the checkpoint."]
    rows = [f"| {label(name)} | {value_text(name, value)} |" for name, value in found.items()]
    epoch = "" if loaded.epoch is None else f" after epoch {loaded.epoch}"
    return [f"On the test split{epoch}, shares in per cent.", "", "| metric | value |", "|---|---|", *rows]


def _line(text: str) -> str:
    return " ".join(text.encode(errors="replace").decode().split())
