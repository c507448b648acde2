"""The weights as safetensors with a config.json from which the network is built again; nothing in them is code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dml.api.embedder import Embedder, Preprocessing
from dml.errors import UserError
from dml.export.network import Exported
from dml.models import EmbeddingNet
from dml.models.architecture import Architecture
from dml.models.reading import load_checked

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FORMAT = "dml-export-1"


def save_weights(network: Exported, _: Tensor, path: Path) -> None:
    """Every parameter and buffer of the network by its name."""
    try:
        from safetensors.torch import save_file
    except ImportError:
        raise UserError(
            "--safetensors needs safetensors: `pip install '.[export]'` installs what the export needs"
        ) from None
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.model.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})


def config_of(embedder: Embedder) -> dict[str, Any]:
    """What a network is built again from, as plain values."""
    return {
        "format": FORMAT,
        "architecture": asdict(embedder.model.architecture),
        "preprocessing": asdict(embedder.preprocessing),
        "distance": embedder.distance,
        "classes": len(embedder.classes),
    }


def load_exported(folder: str | Path, *, device: torch.device | str | None = None) -> Embedder:
    """The network of a folder that ``export`` wrote as safetensors, as ``dml.load`` gives it.

    Raises:
        UserError: a file is missing or does not fit.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text())
        names = tuple((folder / "classes.txt").read_text().splitlines()) if config["classes"] else ()
        if config["format"] != FORMAT:
            raise UserError(f"{folder}: format {config['format']!r}, but this version reads {FORMAT!r}")
        model = EmbeddingNet(Architecture(**config["architecture"]))
        load_checked(model, load_file(folder / WEIGHTS), str(folder / WEIGHTS))
        how = Preprocessing(**config["preprocessing"])
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: no folder of `code/export.py --safetensors`: {error}") from error
    return Embedder(model, how, distance=config["distance"], classes=names, description="exported", device=device)


def weights_runner(path: Path) -> Callable[[Tensor], Tensor]:
    """From pixels to embeddings, by the network that is built again."""
    network = Exported(load_exported(path.parent, device="cpu")).eval()
    return lambda images: network(images)
