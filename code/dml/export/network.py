"""The network as one function of tensors, with its normalisation inside."""

from __future__ import annotations

from torch import Tensor, nn

from dml.api.embedder import Embedder
from dml.data.transforms import eval_transform


class Exported(nn.Module):
    """Pixels in, embeddings out.

    Args:
        embedder: whose network it is; both share its weights.
    """

    def __init__(self, embedder: Embedder):
        super().__init__()
        self.model = embedder.model

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) float32 RGB in 0..1 → (B, D) float32."""
        return self.model(self.model.input_spec.normalize(images)).embedding


def pixels_of(embedder: Embedder, images: list) -> list[Tensor]:
    """What ``Exported`` takes, (3, S, S) each, of images of any kind that ``Embedder.embed`` takes."""
    how = embedder.preprocessing
    transform = eval_transform(
        _as_it_is,
        resize=how.resize,
        crop_size=how.crop_size,
        pillow=how.pillow,
        interpolation=embedder.input_spec.interpolation,
    )
    return [transform(how.read(image)) for image in images]


def _as_it_is(image: Tensor) -> Tensor:
    return image
