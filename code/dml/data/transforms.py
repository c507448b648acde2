"""Image transforms for training and evaluation (torchvision v2): PIL RGB → (3, H, W) uint8 → float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from dml.data.images import Transform
from dml.data.square import check_square
from dml.errors import UserError

BILINEAR = InterpolationMode.BILINEAR.value
AUGMENTATIONS = ("base", "adv", "big", "red", "lighting")
Normalize = Callable[[Tensor], Tensor]
"""A network's own input normalisation: (…, 3, H, W) float32 RGB in 0..1 → what the network reads."""


class Lighting(nn.Module):
    """Adds one random colour to all pixels, along the principal components of ImageNet's colours (Krizhevsky et al.,
    NeurIPS 2012, section 4.1): Σ_k a_k λ_k e_k with a_k ~ N(0, 0.1²).

    Draws from torch's global generator.
    """

    eigenvalues = torch.tensor([0.2175, 0.0188, 0.0045])  # λ
    eigenvectors = torch.tensor(  # its columns are e
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    )

    def forward(self, image: Tensor) -> Tensor:
        """(3, H, W) float32 RGB in 0..1 → the same, not cut to 0..1."""
        shift = self.eigenvectors @ (torch.randn(3) * 0.1 * self.eigenvalues)
        return image + shift[:, None, None]


def train_transform(
    normalize: Normalize,
    *,
    crop_size: int,
    augmentation: str = "base",
    crop_scale: tuple[float, float] = (0.08, 1.0),
    resize: int = 256,
    flip: bool = True,
    pillow: bool = False,
    interpolation: str = BILINEAR,
) -> Transform:
    """A random crop, and a mirror image half of the time.

    By name the augmentations of Roth et al. (ICML 2020), and CutMix's on ImageNet:

    * ``base``: a crop of random scale and proportions, scaled to a square, as in every other published training;
    * ``big``: the same; larger, by a larger ``crop_size``;
    * ``adv``: the same, then grey with probability 1/5, and brightness, contrast, saturation, hue changed by ±1/5;
    * ``red``: the shorter side scaled to ``resize``, then a square at a random place;
    * ``lighting``: as ``base``, then brightness, contrast and saturation changed by ±2/5, and ``Lighting``.
      NOTE: here colours stay within 0..1 while those three change.

    Args:
        normalize: applied last.
        crop_size: side of the result in pixels.
        augmentation: one of ``AUGMENTATIONS``.
        crop_scale: smallest and largest share of the image's area that a crop takes; not of ``red``.
        resize: of ``red`` only, elsewhere it is the evaluation's.
        flip: mirror horizontally with probability 1/2.
        pillow: by Pillow instead of on tensors, see ``_compose``.
        interpolation: by which images are scaled: ``bilinear``, ``bicubic``, ``nearest`` or ``lanczos``.

    Raises:
        UserError: an unknown augmentation, ``crop_scale`` that is not 0 < smallest ≤ largest ≤ 1, or with ``red`` a
            square larger than the scaled image.
    """
    if augmentation not in AUGMENTATIONS:
        raise UserError(f"--augmentation {augmentation!r} is not one of {', '.join(AUGMENTATIONS)}")
    low, high = crop_scale
    if not 0 < low <= high <= 1:
        raise UserError(f"crop scale must satisfy 0 < smallest <= largest <= 1, got {crop_scale}")
    if augmentation == "red":
        check_square(crop_size, resize)
        steps: list[Callable] = [_resize(resize, interpolation), v2.RandomCrop(crop_size)]
    else:
        steps = [v2.RandomResizedCrop(crop_size, scale=crop_scale, interpolation=InterpolationMode(interpolation))]
    if augmentation == "adv":
        steps += [v2.RandomGrayscale(p=0.2), v2.ColorJitter(0.2, 0.2, 0.2, 0.2)]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    if augmentation != "lighting":
        return _compose(steps, normalize, pillow=pillow)
    jitter = v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)
    whole = _compose(steps, v2.Compose([jitter, Lighting(), normalize]), pillow=pillow)
    return Transform(v2.Compose([whole.crop, whole.scale]), pillow=pillow)  # each image has colours of its own


def padded_crop_transform(
    normalize: Normalize, *, crop_size: int, padding: int, flip: bool = True, pillow: bool = False
) -> Transform:
    """A crop at a random place of the image with a black border, and a mirror image half of the time.

    The augmentation of CIFAR since He et al. (CVPR 2016): crops of 32 from 32 × 32 pixels with a border of 4.

    Args:
        normalize: applied last.
        crop_size: side of the result in pixels; the shorter side of an image is scaled to it first.
        padding: width of the border in pixels.
        flip: mirror horizontally with probability 1/2.
        pillow: by Pillow instead of on tensors, see ``_compose``.
    """
    steps: list[Callable] = [v2.Resize(crop_size), v2.RandomCrop(crop_size, padding=padding)]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    return _compose(steps, normalize, pillow=pillow)


def eval_transform(
    normalize: Normalize,
    *,
    resize: int | None = 256,
    crop_size: int = 224,
    pillow: bool = False,
    interpolation: str = BILINEAR,
) -> Transform:
    """The shorter side scaled to ``resize`` pixels (None: not scaled), then the central square.

    Args:
        normalize: applied last.
        pillow: by Pillow instead of on tensors, see ``_compose``.
        interpolation: as for ``train_transform``.

    Raises:
        UserError: if the square is larger than the scaled image, which would pad it with black.
    """
    if resize is not None:
        check_square(crop_size, resize)
    steps: list[Callable] = [] if resize is None else [_resize(resize, interpolation)]
    return _compose([*steps, v2.CenterCrop(crop_size)], normalize, pillow=pillow)


def whole_image_transform(
    normalize: Normalize, *, side: int, pillow: bool = False, interpolation: str = BILINEAR
) -> Transform:
    """The whole image scaled to ``side`` × ``side`` pixels, whatever its proportions; ``pillow``: see ``_compose``,
    ``interpolation``: ``train_transform``."""
    return _compose([_resize((side, side), interpolation)], normalize, pillow=pillow)


def _resize(size: int | tuple[int, int], interpolation: str) -> v2.Resize:
    return v2.Resize(size, interpolation=InterpolationMode(interpolation))


def _compose(steps: list[Callable], normalize: Normalize, *, pillow: bool) -> Transform:
    """The steps; then, in batches, float32 in 0..1 and the normalisation.

    NOTE: crops, scales and colours are those of uint8 tensors; the published code has them from Pillow, as ``pillow``
    does, which takes twice as long to evaluate photographs. The bilinear filter is the same: a few pixels in a thousand
    of photographs, in a hundred of noise, differ by one level of 255, about one in 10⁹ by two. Colours that ``adv``
    changes differ by up to 6 levels in photographs, by 18 in noise.
    """
    to_tensor = v2.PILToTensor()
    steps = [*steps, to_tensor] if pillow else [to_tensor, *steps]
    return Transform(v2.Compose(steps), v2.Compose([v2.ToDtype(torch.float32, scale=True), normalize]), pillow=pillow)
