"""Training a classifier: cross-entropy, perhaps of mixed images, perhaps of introspective logits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from dml.data.samplers import Sampler
from dml.losses.introspective_logits import damping, introspective_logits
from dml.methods.base import Given, Method, ParamGroup
from dml.methods.batches import create_sampler
from dml.models.classifiers import ClassifierNet, ClassifierOutput
from dml.processes import gather_rows, global_mean, rank
from dml.structures import Batch, Progress, StepOutput

MIXES = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


class Mixing(nn.Module):
    """Mixup (Zhang et al., ICLR 2018) or CutMix (Yun et al., ICCV 2019) of each image with another of the global batch.

    One λ ~ Beta(α, α), and of CutMix one box, for the batch, from torch's global generator on the CPU, which draws
    the same in every process and which checkpoints keep.

    NOTE: torchvision pairs each image with the one before it where the published code draws a permutation. Batches
    are drawn at random, so the pairs are too. Of several processes' images the last of one comes before the next's
    first.

    Args:
        kind: "mixup" or "cutmix".
        num_classes: C.
        alpha: α of the Beta distribution.
        probability: of mixing a batch at all.
    """

    def __init__(self, kind: str, *, num_classes: int, alpha: float = 1.0, probability: float = 1.0):
        super().__init__()
        self.mix, self.probability = MIXES[kind](alpha=alpha, num_classes=num_classes), probability

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) images and (B,) labels → images, and (B, C) label shares or, unmixed, the (B,) labels."""
        if self.probability < 1 and torch.rand(()) >= self.probability:
            return images, labels
        images, labels = (torch.cat([_last_of_previous(rows), rows]) for rows in (images, labels))
        images, shares = self.mix(images, labels)
        return images[1:], shares[1:]


def _last_of_previous(rows: Tensor) -> Tensor:
    """(B, …) → (1, …) the last row of the process before this one; before the first is the last."""
    return gather_rows(rows[-1:])[rank() - 1][None]


class ClassificationMethod(Method):
    """A classification network and its cross-entropy.

    With an uncertainty in the network, training takes the introspective logits and evaluation the plain ones.

    Args:
        model: the network.
        sampler: plans the batches.
        mixing: mixes a batch; None leaves it as it is.
        introspective_tau: τ of ``introspective_logits``.
    """

    model: ClassifierNet

    def __init__(
        self,
        *,
        model: ClassifierNet,
        sampler: Sampler,
        mixing: Mixing | None = None,
        introspective_tau: float = 5.0,
    ):
        super().__init__()
        self.model, self.sampler, self.mixing, self.introspective_tau = model, sampler, mixing, introspective_tau

    def param_groups(self) -> list[ParamGroup]:
        """One group: everything is trained alike."""
        return [ParamGroup("network", list(self.model.parameters()))]

    def epoch_batches(self, epoch: int) -> np.ndarray:
        """The sampler's plan."""
        return self.sampler.plan(epoch)

    def training_step(self, batch: Batch, progress: Progress) -> StepOutput:
        """The mean cross-entropy of the global batch, in float32 whatever the network's precision."""
        images, targets = batch.images, batch.labels
        if self.mixing is not None:
            images, targets = self.mixing(images, targets)
        output = self.outputs(self.model, images)
        with torch.autocast(output.logits.device.type, enabled=False):
            logits, logs = output.logits, {}
            if output.uncertainty is not None:
                factors = self.damping(output)
                logits, logs["damping"] = introspective_logits(logits, factors), global_mean(factors.detach().mean())
            losses = F.cross_entropy(logits, targets, reduction="none")
            return StepOutput(gather_rows(losses).mean(), logs)

    def damping(self, output: ClassifierOutput) -> Tensor:
        """(B, C) what uncertainty leaves of the logits; its mean is logged."""
        weight, bias = self.model.classifier.weight, self.model.classifier.bias
        return damping(output.logits, output.features, weight, bias, output.uncertainty, tau=self.introspective_tau)


def build(given: Given[ClassifierNet]) -> ClassificationMethod:
    """The method of ``code/classify.py``. UserError for settings that the training set cannot satisfy."""
    config, train, chosen = given.config, given.train, given.config.classification
    mixing = None
    if chosen.mix != "none":
        mixing = Mixing(
            chosen.mix, num_classes=train.num_classes, alpha=chosen.mix_alpha, probability=chosen.mix_probability
        )
    return ClassificationMethod(
        model=given.model,
        sampler=create_sampler(config, train.labels),
        mixing=mixing,
        introspective_tau=chosen.introspective_tau,
    )
