"""A trained network with all that turns an image into its embedding."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from dml.cli.evaluate import stored_settings
from dml.config import DataConfig, EvalConfig, EvaluateConfig
from dml.data.depth import is_deep_grey, settled_bits
from dml.data.images import Sample, Transform
from dml.data.loader import eval_loader
from dml.data.readable import peaks_of
from dml.data.reading import plain_rgb, read_image, turn_of
from dml.data.square import check_square
from dml.data.transforms import eval_transform
from dml.devices import first_device
from dml.errors import UserError
from dml.models import EmbeddingNet
from dml.models.convert import load_model_checkpoint
from dml.models.extract import embed
from dml.models.input_spec import InputSpec
from dml.models.run_checkpoint import checkpoint_file
from dml.structures import Batch

ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray
"""A path, an image of Pillow's, or uint8 pixels (H, W, 3) RGB or (H, W) grey."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input.

    Attributes:
        resize: its shorter side is scaled to so many pixels,
        crop_size: and the central square of that side cut out.
        pillow: by Pillow instead of on tensors, which differs by a level of 255 in a few pixels.
        upright: whether it is turned as its EXIF orientation says.
        bits: how many bits the numbers of an image file of more than 8 bits fill where it does not say; None: as many
            as hold the largest number in all files that are embedded at a time.
    """

    resize: int
    crop_size: int
    pillow: bool
    upright: bool
    bits: int | None

    def settled(self, images: Iterable[ImageLike]) -> Preprocessing:
        """With the bits of all these images, as ``evaluate.py`` settles them for those that it is given."""
        if self.bits is not None:
            return self
        files = [image for image in images if isinstance(image, str | os.PathLike)]
        return replace(self, bits=settled_bits(None, peaks_of(files)))

    def read(self, image: ImageLike) -> Image.Image:
        """8-bit RGB of an image; a file of more than 8 bits as of 16 where nothing settled them.

        Raises:
            UserError: it cannot be read, or is none.
        """
        if isinstance(image, str | os.PathLike):
            return read_image(image, upright=self.upright, bits=self.bits)
        if isinstance(image, Image.Image):
            if is_deep_grey(image) or image.mode == "F":
                raise UserError(f"an image of mode {image.mode} has more than 8 bits: give its file, or convert it")
            turn = turn_of(image) if self.upright else None
            rgb = plain_rgb(image)
            return rgb if turn is None else rgb.transpose(turn)
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
            raise UserError(f"pixels must be uint8 (H, W, 3) or (H, W); got {pixels.dtype} {pixels.shape}")
        return Image.fromarray(pixels).convert("RGB")


class Embedder:
    """A trained network and how its run reads and compares images; made by ``load``.

    Attributes:
        model: in evaluation mode, on ``device``.
        device: where it computes.
        preprocessing: how an image becomes its input.
        classes: names of the classes that it was trained on; none where that is not known, or there were none.
        distance: "cosine" or "euclidean", by which its embeddings are compared.
        description: what it is and where it comes from, in words.
        source: the checkpoint that it was read from; None: it was made otherwise.
    """

    def __init__(
        self,
        model: EmbeddingNet,
        preprocessing: Preprocessing,
        *,
        distance: str = EvalConfig.eval_distance,
        classes: Sequence[str] = (),
        description: str = "",
        source: Path | None = None,
        device: torch.device | str | None = None,
    ):
        check_square(preprocessing.crop_size, preprocessing.resize)
        self.device = first_device() if device is None else torch.device(device)
        self.model = model.to(self.device).eval()
        self.preprocessing, self.distance = preprocessing, distance
        self.classes, self.description, self.source = tuple(classes), description, source

    @property
    def input_spec(self) -> InputSpec:
        """The network's own normalisation and size of images."""
        return self.model.input_spec

    @property
    def embedding_size(self) -> int:
        """D."""
        return self.model.architecture.embedding_size

    @property
    def transform(self) -> Transform:
        """From 8-bit RGB, as ``preprocessing`` reads it, to the (3, S, S) float32 that the network takes."""
        how = self.preprocessing
        return eval_transform(
            self.input_spec.normalize,
            resize=how.resize,
            crop_size=how.crop_size,
            pillow=how.pillow,
            interpolation=self.input_spec.interpolation,
        )

    def embed(
        self, images: ImageLike | Iterable[ImageLike], *, batch_size: int = EvaluateConfig.batch_size, workers: int = 0
    ) -> Tensor:
        """(N, D) float32 embeddings on the CPU, in the order of the images; one image gives (1, D).

        Of files, and on a CPU, they are those of ``evaluate.py --save-embeddings``, to the bit with its batch size.

        Args:
            images: paths, images of Pillow's and uint8 pixels, also mixed; or one array (N, H, W, 3).
            batch_size: images at a time.
            workers: processes that read them; 0: this one.

        Raises:
            UserError: an image that cannot be read; the message names the file.
        """
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, got {batch_size}")
        single = isinstance(images, str | os.PathLike | Image.Image)
        if isinstance(images, np.ndarray):
            single = images.ndim == 2 or (images.ndim == 3 and images.shape[2] == 3)
        images = [images] if single else list(images)
        if not images:
            return torch.empty(0, self.embedding_size)
        how = self.preprocessing.settled(images)
        batches = eval_loader(
            _Given(images, how.read, self.transform),
            batch_size=batch_size,
            workers=workers,
            device=self.device,
        )
        return embed(self.model, batches, self.device)[0]

    def embed_prepared(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) of what ``transform`` gives → (B, D) float32 embeddings on the CPU."""
        unknown = torch.zeros(len(images), dtype=torch.int64)
        return embed(self.model, [Batch(images, unknown, unknown)], self.device)[0]


class _Given(Dataset):
    """Images that were handed over, of one class that says nothing."""

    def __init__(
        self,
        images: Sequence[ImageLike],
        read: Callable[[ImageLike], Image.Image],
        transform: Transform,
    ):
        self.images, self.read, self.crop, self.scale = images, read, transform.crop, transform.scale

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return Sample([self.crop(self.read(self.images[index]))], 0, index)


def load(path: str | Path, *, device: torch.device | str | None = None) -> Embedder:
    """The network of a run folder or a checkpoint, ours or published, ready to embed images as its run evaluates them.

    A published checkpoint says nothing of images: they are scaled and cropped by the defaults and, as a user's own are,
    turned upright; its distance is cosine.

    Args:
        path: of a run folder its best epoch is taken, or the last where none was chosen.
        device: where to compute; None: the first GPU, else the CPU.

    Raises:
        CheckpointError: there is no such file, or it is no checkpoint of a network known here. A UserError.
    """
    source = checkpoint_file(path, flag="dml.load")
    loaded = load_model_checkpoint(source)
    stored = stored_settings(loaded.config or {})
    crop_size = stored.get("crop_size")
    preprocessing = Preprocessing(
        resize=stored.get("resize", DataConfig.resize),
        crop_size=loaded.model.input_spec.crop_size if crop_size is None else crop_size,
        pillow=stored.get("pillow", DataConfig.pillow),
        upright=stored.get("dataset", "folder") == "folder",
        bits=stored.get("bits"),
    )
    return Embedder(
        loaded.model,
        preprocessing,
        distance=stored.get("eval_distance", EvalConfig.eval_distance),
        classes=loaded.class_names or (),
        description=loaded.description,
        source=source,
        device=device,
    )
