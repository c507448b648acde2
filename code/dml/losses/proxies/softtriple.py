"""SoftTriple, as published with the criteria and as its paper has it."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dml.conditions import unless
from dml.errors import UserError
from dml.losses.criterion import BatchCriterion
from dml.losses.distances import safe_root
from dml.losses.proxies.centroids import CentroidScores
from dml.losses.similarity import Similarity
from dml.losses.spec import LossSpec, rate_option
from dml.normalize import l2_normalize_clamped
from dml.options import Option
from dml.ranges import above, at_least

_SLACK = 1e-5  # keeps the distance of two centroids of a class away from 0


class _SoftTriplet(BatchCriterion):
    """Centroids, regulariser and cross-entropy of both forms.

    With S the (B, C) similarity of samples to classes, ``cross-entropy of λ (S − δ · own class)``, plus τ times the
    mean distance between two centroids of a class, halved (METHODS §17). O(B·C·K·D + C·K²·D).
    """

    whole_gradients = ("centroids",)  # dml.processes

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        n_centroids: int = 2,
        margin_delta: float = 0.01,
        gamma: float = 0.1,
        lam: float = 8.0,
        reg_weight: float = 0.2,
        similarity: Similarity | None = None,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        if n_centroids < 1:
            raise UserError(f"--loss_softtriplet_n_centroids must be at least 1, got {n_centroids}")
        if gamma <= 0:
            raise UserError(f"--loss_softtriplet_gamma must be positive, got {gamma}")
        self.margin_delta, self.gamma, self.lam, self.reg_weight = margin_delta, gamma, lam, reg_weight
        bound = 1 / math.sqrt(num_classes * n_centroids)
        self.centroids = nn.Parameter(torch.empty(num_classes, n_centroids, embedding_size).uniform_(-bound, bound))

    def _cost(self, scores: Tensor, labels: Tensor, products: Tensor) -> Tensor:
        """The loss of (B, C) similarities to the classes, with the products (P, C) of the pairs of their centroids."""
        logits = self.lam * scores
        own = logits.new_full((len(labels), 1), -self.lam * self.margin_delta)
        loss = F.cross_entropy(logits.scatter_add_(1, labels[:, None], own), labels)
        return loss + self.reg_weight * self._spread(products) if self.reg_weight else loss

    def _spread(self, products: Tensor) -> Tensor:
        """Σ over pairs j < k of a class of sqrt(2 + 1e-5 − 2 z_j · z_k), over C · K · (K − 1); 0 if K = 1.

        NOTE: the published code gets no number where a product exceeds 1.000005; here that distance is 0.
        """
        kinds = self.centroids.shape[1]
        return safe_root(2 + _SLACK - 2 * products).sum() / max(self.num_classes * kinds * (kinds - 1), 1)


def _pair_products(centroids: Tensor) -> Tensor:
    """(P, C) products of the pairs of each class's centroids (C, K, D) as they are, P = K (K − 1) / 2."""
    kinds = centroids.shape[1]
    apart = [torch.linalg.vecdot(centroids[:, :-shift], centroids[:, shift:]) for shift in range(1, kinds)]
    return torch.cat(apart, dim=1).T if apart else centroids.new_zeros(0, len(centroids))


class SoftTripletAsPublished(_SoftTriplet):
    """SoftTriple as the Revisiting-DML code base computes it (METHODS §17).

    NOTE: two slips, both kept, for the published spelling is the published function. Each *feature* is normalised
    over all centroids, where the paper normalises each centroid; and the weights of a class's centroids are a
    soft-max of γ · s over *classes*, where the paper's is of s / γ over centroids. ``SoftTripleLoss`` is the paper's.

    Args:
        n_centroids: K, per class.
        margin_delta: δ.
        gamma: γ.
        lam: λ.
        reg_weight: τ.
        num_classes, embedding_size: see ``Criterion``.

    Raises:
        UserError: no centroid, or γ that is not positive.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        n_centroids: int = 2,
        margin_delta: float = 0.01,
        gamma: float = 0.1,
        lam: float = 8.0,
        reg_weight: float = 0.2,
    ):
        super().__init__(
            num_classes=num_classes,
            embedding_size=embedding_size,
            n_centroids=n_centroids,
            margin_delta=margin_delta,
            gamma=gamma,
            lam=lam,
            reg_weight=reg_weight,
        )

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The embeddings are not normalised."""
        flat = self.centroids.flatten(0, 1)  # (C·K, D)
        centroids = F.normalize(flat, dim=0).view_as(self.centroids)
        similarities = (embeddings @ centroids.flatten(0, 1).T).unflatten(1, centroids.shape[:2])
        scores = ((self.gamma * similarities).softmax(1) * similarities).sum(2)
        return self._cost(scores, labels, _pair_products(centroids))


class SoftTripleLoss(_SoftTriplet):
    """SoftTriple (Qian et al., ICCV 2019, Eq. 6–9): unit centroids, weighed by a soft-max of s / γ over each class's.

    Args:
        n_centroids: K, per class.
        margin_delta: δ.
        gamma: γ, the entropy weight: the smaller, the more the nearest centroid alone counts.
        lam: λ.
        reg_weight: τ.
        num_classes, embedding_size, similarity: see ``Criterion``.

    Raises:
        UserError: no centroid, or γ that is not positive.
    """

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The embeddings are not normalised, as in the paper, whose networks give unit vectors."""
        if self.similarity is self.own_similarity:
            scores, products = CentroidScores.apply(embeddings, self.centroids, self.gamma, self.reg_weight != 0)
            return self._cost(scores, labels, products)
        centroids = l2_normalize_clamped(self.centroids)
        flat = self.similarity.similarities(embeddings, centroids.flatten(0, 1))
        similarities = flat.unflatten(1, centroids.shape[:2])  # (B, C, K)
        scores = ((similarities / self.gamma).softmax(2) * similarities).sum(2)
        return self._cost(scores, labels, _pair_products(centroids))


_OPTIONS = {
    "loss_softtriplet_n_centroids": Option("n_centroids", "centroids of each class", within=at_least(1)),
    "loss_softtriplet_margin_delta": Option("margin_delta", "margin δ of the own class", within=at_least(0)),
    "loss_softtriplet_gamma": Option("gamma", "γ of the soft-max that weighs centroids", within=above(0)),
    "loss_softtriplet_lambda": Option("lam", "scale λ of the similarities", within=above(0)),
    "loss_softtriplet_reg_weight": Option(
        "reg_weight",
        "weight of the distance between a class's centroids",
        within=at_least(0),
        used_if=(unless("loss_softtriplet_n_centroids", 1),),
    ),
    "loss_softtriplet_lrmulti": rate_option("learning rate of the centroids, in multiples of --lr"),
}

_AS_PUBLISHED = LossSpec(
    name="soft_triplet_by_feature",
    build=SoftTripletAsPublished,
    spellings=("softtriplet",),
    recipe="lsd",
    options=_OPTIONS,
    has_proxies=False,
    lr_scale=1.0,
    lr_option="loss_softtriplet_lrmulti",
)

SPECS = (_AS_PUBLISHED, replace(_AS_PUBLISHED, name="softtriple", build=SoftTripleLoss, spellings=()))
