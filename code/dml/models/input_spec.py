"""What a network wants its images to look like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class InputSpec:
    """A network's own normalisation and the image size that it was published with.

    Attributes:
        mean: per channel, in the network's channel order and in units of ``scale``.
        std: per channel, likewise.
        bgr: whether the channel order is blue, green, red.
        scale: value that full intensity has before mean and std are applied (1 or 255).
        crop_size: side of the square crop in pixels.
        crop_pct: share of the shorter side of an evaluated image that the crop takes.
        interpolation: by which images are scaled: ``bilinear``, ``bicubic``, ``nearest`` or ``lanczos``.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool
    scale: float
    crop_size: int
    crop_pct: float = 0.875
    interpolation: str = "bilinear"

    def resize_for(self, crop_size: int) -> int:
        """The shorter side of an evaluated image, in pixels, of which a crop of ``crop_size`` is ``crop_pct``."""
        return int(crop_size / self.crop_pct)

    def normalize(self, images: Tensor) -> Tensor:
        """Normalise images as the network expects them.

        A bound method pickles, so it can be the last step of a transform run in loader workers.

        Args:
            images: (…, 3, H, W) floating point, RGB in 0..1.

        Returns:
            (…, 3, H, W) of the same dtype, a new tensor in the network's channel order.

        Raises:
            TypeError: integer images.
        """
        if not images.is_floating_point():
            raise TypeError(f"normalize expects floating-point images in 0..1, got {images.dtype}")
        # (scale · x − mean) / std as one product and one difference.
        factors = tuple(self.scale / s for s in self.std)
        offsets = tuple(m / s for m, s in zip(self.mean, self.std, strict=True))
        factors, offsets = (per_channel(values, images.dtype, images.device) for values in (factors, offsets))
        if self.bgr:
            images = images.flip(-3)
        return torch.mul(images, factors).sub_(offsets)


@lru_cache
def per_channel(values: tuple[float, float, float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(3, 1, 1) constants for images; made, and sent to the device, once."""
    with torch.inference_mode(False):  # autograd takes no part of what is made in inference mode
        return torch.tensor(values, dtype=dtype, device=device)[:, None, None]


IMAGENET_RGB = InputSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), bgr=False, scale=1.0, crop_size=224)
CAFFE_BGR = InputSpec(mean=(104.0, 117.0, 128.0), std=(1.0, 1.0, 1.0), bgr=True, scale=255.0, crop_size=224)
CIFAR_RGB = InputSpec(mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7), bgr=False, scale=255.0, crop_size=32)
