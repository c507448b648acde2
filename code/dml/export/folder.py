"""An exported network as a folder in the layout of the Hugging Face hub."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dml.api.embedder import ImageLike, load
from dml.errors import UserError
from dml.export.card import command_of_run, model_card, preprocessor_of
from dml.export.formats import FORMATS, example
from dml.export.network import Exported, pixels_of
from dml.export.weights import CONFIG, config_of
from dml.models.convert import load_model_checkpoint
from dml.models.run_checkpoint import checkpoint_file
from dml.places import from_home
from dml.writing import naming

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        folder: where.
        differences: format → the largest difference between an embedding of its and one of ours.
        images: how many images these were compared on.
    """

    folder: Path
    differences: dict[str, float]
    images: int


def export(
    checkpoint: str | Path, folder: str | Path, *, formats: Sequence[str], images: Sequence[ImageLike], about: str
) -> Export:
    """Write a network in each of ``formats``, once all that was written gives our embeddings.

    At any moment the folder is complete, or not there.

    Args:
        checkpoint: see ``dml.load``.
        folder: which must not be there yet.
        formats: of ``FORMATS``.
        images: real ones, on which what was written is compared with ours, one at a time and all at once.
        about: what these images are, in words.

    Raises:
        UserError: the folder is there; a package is missing; a format does not give our embeddings.
    """
    source, folder = checkpoint_file(checkpoint, flag="--ckpt"), from_home(folder)
    if folder.exists():
        raise UserError(f"{folder} is there already: name another folder")
    loaded, embedder = load_model_checkpoint(source), load(source, device="cpu")
    network = Exported(embedder).eval()
    pixels = pixels_of(embedder, list(images))
    ours = embedder.embed(images)
    batch = torch.stack(pixels)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    differences = {}
    try:
        with naming(folder):
            temporary.mkdir(parents=True)
            _write_json(config_of(embedder), temporary / CONFIG)
            if embedder.classes:
                names = "".join(f"{' '.join(name.split())}\n" for name in embedder.classes)
                (temporary / "classes.txt").write_text(names, encoding="utf-8", errors="replace")
            for name in formats:
                file = temporary / FORMATS[name].file
                FORMATS[name].write(network, example(pixels), file)
                run = FORMATS[name].open(file)
                with torch.inference_mode():
                    theirs = [run(batch), torch.cat([run(batch[:1]), run(batch[-1:])])]
                expected = [ours, torch.cat([ours[:1], ours[-1:]])]
                parts = [float((one - other).abs().max()) for one, other in zip(theirs, expected, strict=True)]
                differences[name] = max(parts)
                if not differences[name] <= TOLERANCE:
                    raise UserError(
                        f"{FORMATS[name].file}: its embeddings differ from ours by up to {differences[name]:.1e}, more"
                        f" than {TOLERANCE:g}: nothing was written"
                    )
            inside = {FORMATS[name].file: FORMATS[name].normalised_inside for name in formats}
            _write_json(preprocessor_of(embedder, inside), temporary / "preprocessor.json")
            written = {FORMATS[name].file: FORMATS[name].about for name in formats}
            written |= {"preprocessor.json": "how an image becomes its input", CONFIG: "what it is built from"}
            parity = (
                f"On {len(images)} images ({about}) no number differs from the network's own by more than "
                + ", ".join(f"{difference:.1e} (`{FORMATS[name].file}`)" for name, difference in differences.items())
                + ". The size of a batch is free."
            )
            card = model_card(embedder, loaded, written, command=command_of_run(source), parity=parity)
            (temporary / "README.md").write_text(card, encoding="utf-8")
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Export(folder, differences, len(images))


def _write_json(values: dict, path: Path) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")
