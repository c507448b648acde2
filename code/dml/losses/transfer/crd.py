"""Contrastive representation distillation (Tian et al., ICLR 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.transfer.contract import Representation, check_rows
from dml.losses.transfer.negatives import OtherClassSampler
from dml.losses.transfer.spec import TransferLossSpec
from dml.normalize import l2_normalize_clamped, widen
from dml.options import Option
from dml.ranges import at_least

# Images per choice up to which one product with all rows beats a gathered copy of the chosen ones.
PRODUCT_UP_TO = 32


class CRDLoss(nn.Module):
    """The target's features tell the source's features of the same image from those of other classes (METHODS §11).

    Both networks' pooled features go through a learned linear head to unit length; a memory per network holds the
    latest of each training image. Each row's head output is held against its own image and ``num_negatives`` images
    of other classes in the other network's memory, by noise-contrastive estimation.

    Per step at most O(B·K·F) time and memory, whatever the number of images N and of classes, and less for small N:
    up to 32 (K + 1) images the products with the whole memory, O(B·N) memory, are quicker than gathering rows of it.
    N·F state per network.

    NOTE: the published code multiplies N by the number of views although its indices are not: here N is the number
    of training images.

    Args:
        target_features, source_features: sizes of the pooled features.
        labels: (N,) int64 class of each training image, in the order of the data set's indices.
        num_negatives: K, drawn with replacement.
        size: F, of the heads' output.
        temperature: T.
        momentum: μ, share of the old row when a memory is written.
        eps: ε inside the logarithms' denominators.
    """

    target_memory: Tensor
    source_memory: Tensor
    normalizers: Tensor

    memory_buffers: tuple[str, ...] = ("target_memory", "source_memory")

    def __init__(
        self,
        *,
        target_features: int,
        source_features: int,
        labels: Tensor,
        num_negatives: int = 4096,
        size: int = 128,
        temperature: float = 0.07,
        momentum: float = 0.5,
        eps: float = 1e-7,
    ):
        super().__init__()
        if num_negatives < 1 or size < 1 or temperature <= 0 or not 0 <= momentum < 1:
            raise UserError(
                "num_negatives and size must be 1 or more, temperature positive, momentum in [0, 1), got"
                f" {num_negatives}, {size}, {temperature}, {momentum}"
            )
        self.num_negatives, self.temperature, self.momentum, self.eps = num_negatives, temperature, momentum, eps
        self.num_images = len(labels)
        self.sampler = OtherClassSampler(labels)
        self.target_head = nn.Linear(target_features, size)
        self.source_head = nn.Linear(source_features, size)
        bound = 1 / math.sqrt(size / 3)
        # As published, rows have unit length only from their first writing on.
        self.register_buffer("target_memory", torch.empty(self.num_images, size).uniform_(-bound, bound))
        self.register_buffer("source_memory", torch.empty(self.num_images, size).uniform_(-bound, bound))
        # Normalisers Z of the scores of the target's and the source's rows; 0 until the first step sets them.
        self.register_buffer("normalizers", torch.zeros(2))

    def forward(self, target: Representation, source: Representation, *, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the pooled features and the images' indices (B,); in training mode the memories are written.

        Raises:
            ValueError: features or indices that do not fit.
        """
        t, s = target.features, source.features
        if t is None or s is None or t.ndim != 2 or s.ndim != 2 or len(t) != len(s):
            found = [None if f is None else tuple(f.shape) for f in (t, s)]
            raise ValueError(f"CRD needs features (B, Ft) and (B, Fs) of the same B, got {found}")
        check_rows("indices", indices, len(t))
        if indices.device.type == "cpu" and not (indices.min() >= 0 and indices.max() < self.num_images):
            raise ValueError(f"indices must lie in 0..{self.num_images - 1}, the training images")
        negatives = self.sampler.draw(indices, self.num_negatives)
        return self.contrast(t, s, torch.cat([indices[:, None], negatives], 1))

    def contrast(self, target_features: Tensor, source_features: Tensor, choices: Tensor) -> Tensor:
        """The loss for given choices (B, 1 + K): dataset indices, the row's own image first."""
        target = l2_normalize_clamped(self.target_head(widen(target_features)))
        source = l2_normalize_clamped(self.source_head(widen(source_features)))
        scores = [self._scores(target, self.source_memory, choices), self._scores(source, self.target_memory, choices)]
        with torch.no_grad():
            means = torch.stack([score.mean() for score in scores]) * self.num_images
            self.normalizers.copy_(torch.where(self.normalizers > 0, self.normalizers, means))
            if self.training:
                own = choices[:, 0]
                self._write(self.target_memory, own, target)
                self._write(self.source_memory, own, source)
        return sum(self._nce(score / z) for score, z in zip(scores, self.normalizers.clone(), strict=True))

    def _scores(self, rows: Tensor, memory: Tensor, choices: Tensor) -> Tensor:
        """(B, F) rows against the memory's (B, 1 + K) choices, as they are before this step: exp of the cosine / T."""
        if self.num_images <= PRODUCT_UP_TO * choices.shape[1]:
            # The gradient is taken after the memory is written, and needs it as it was.
            cosines = (rows @ memory.clone().T).gather(1, choices)
        else:
            cosines = torch.bmm(memory[choices], rows[:, :, None]).squeeze(2)
        return (cosines / self.temperature).exp()

    def _nce(self, ratios: Tensor) -> Tensor:
        """Noise-contrastive estimation over (B, 1 + K) scores / Z, the first column being true."""
        noise = self.num_negatives / self.num_images
        true = torch.log1p((noise + self.eps) / ratios[:, 0]).sum()
        false = torch.log1p((ratios[:, 1:] + self.eps) / noise).sum()
        return (true + false) / len(ratios)

    def _write(self, memory: Tensor, indices: Tensor, rows: Tensor) -> None:
        """``memory[i] ← unit(μ memory[i] + (1 − μ) row)``.

        NOTE: rows of the same image (its views) are averaged first, so the result does not depend on their order;
        in the published code one of them wins by chance.
        """
        same = indices[:, None] == indices
        means = same.to(rows.dtype) @ rows / same.sum(1, keepdim=True)
        first = same.int().argmax(1)  # all rows of an image write the very same values
        mixed = self.momentum * memory[indices] + (1 - self.momentum) * means[first]
        memory[indices] = l2_normalize_clamped(mixed).to(memory.dtype)


SPEC = TransferLossSpec(
    name="crd",
    build=CRDLoss,
    spellings=("CRD",),
    needs="features",
    options={"crd-negatives": Option("num_negatives", "images of other classes per row", within=at_least(1))},
    with_proxy_anchor=True,
    fewest_rows=1,
)
