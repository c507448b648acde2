"""Classification with normalised class vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.criterion import BatchCriterion
from dml.losses.functional import redraw_uniformly
from dml.losses.similarity import Similarity
from dml.losses.spec import LossSpec, rate_option
from dml.normalize import l2_normalize_clamped
from dml.options import Option
from dml.ranges import above


class NormalizedSoftmaxLoss(BatchCriterion):
    """Cross-entropy of ``x · n_clamp(w_c) / T`` (Zhai & Wu, BMVC 2019; METHODS §17). O(B·C·D).

    Args:
        temperature: T.
        num_classes, embedding_size, similarity: see ``Criterion``.

    Raises:
        UserError: a temperature that is not positive.
    """

    whole_gradients = ("proxies",)  # dml.processes

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        temperature: float = 0.05,
        similarity: Similarity | None = None,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        if temperature <= 0:
            raise UserError(f"--loss_softmax_temperature must be positive, got {temperature}")
        self.temperature = temperature
        self.proxies = nn.Parameter(torch.empty(num_classes, embedding_size))
        redraw_uniformly(self.proxies)

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The embeddings are not normalised."""
        similarities = self.similarity.similarities(embeddings, l2_normalize_clamped(self.proxies))  # (B, C)
        return F.cross_entropy(similarities / self.temperature, labels)


SPEC = LossSpec(
    name="softmax_normalized",
    build=NormalizedSoftmaxLoss,
    spellings=("softmax",),
    recipe="lsd",
    options={
        "loss_softmax_temperature": Option("temperature", "by which similarities are divided", within=above(0)),
        "loss_softmax_lr": rate_option("learning rate of the class vectors"),
    },
    lr_scale=1e-5,
    lr_option="loss_softmax_lr",
    lr_is_absolute=True,
)
