"""Proxy-ISA: informative sample-aware proxies (Li et al., ACM MM Asia 2022), as published (METHODS §3)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.functional import (
    check_batch,
    class_counts,
    init_proxies,
    log1p_sum_exp,
    log1p_sum_exp_by_class,
    own_class,
)
from dml.losses.memory import MEMORY_OPTIONS, PUBLISHED_SIZE, ClassMeanMemory
from dml.losses.proxies import proxy_anchor
from dml.losses.similarity import Similarity
from dml.losses.spec import LossSpec
from dml.normalize import EPS, l2_normalize, widen
from dml.options import Option
from dml.ranges import above, at_least


class ClassThresholds(NamedTuple):
    """What the state says of each class; (C,) float64 each."""

    distance: Tensor  # η, from learned similarity down to the outliers
    outlier: Tensor  # o = s − η


class ProxyISALoss(nn.Module):
    """Proxy-Anchor whose pairs are weighted by how much their class has been seen and how alike they are.

    A class c counts the samples that trained it, n_c; its effective number E_c = (1 − βⁿ) / (1 − β), β = (V−1)/V,
    saturates at V. It gives a weight w_c and, with the class's learned similarity s_c, the similarity o_c below
    which a sample is an outlier. Three phases follow each other:

    1. plain: Proxy-Anchor, with the repulsion of far negatives weakened by 1 / max(1, E_c);
    2. memory: embeddings of the last batches are kept, and s_c is h · the mean similarity of p_c to the rows of c;
    3. filter: positives are weighted by w_c, those between o_c and s_c by 1 + w_c; outliers are neither counted
       nor kept.

    The phase is a mode like ``training``: ``start_epoch`` sets it before the steps of each epoch. Counters,
    effective numbers, similarities and the memory are buffers; they change in training mode only, after the loss
    has been formed. O(B·C·D) time, O(B·C) memory beyond proxies and memory bank.

    Args:
        num_classes: C, at least 1.
        embedding_size: D.
        margin: δ.
        alpha: α, the scale of similarities.
        k: how much the outlier threshold falls with the learned similarity.
        V: effective number at which a class counts as fully seen, at least 1.
        lam: λ, least distance between learned similarity and outlier threshold.
        h: factor of the mean similarity in the memory.
        tau: τ, how near to V the weights of positives begin to fall.
        memory_size: K, rows of the memory; None: no memory, and the first phase stays.
        memory_from_epoch: epoch, counted from 0, that starts the second phase; the next one starts the third.
        similarity: by which samples are pulled and pushed; None: the cosine.

    NOTE: with a similarity of its own (nothing is published) the cosine still says which pairs are easy, informative
    or outliers, and the memory still holds embeddings alone: a class's learned similarity is a mean of cosines.

    Raises:
        UserError: V below 1, or a memory without rows.
    """

    counter: Tensor
    effective_number: Tensor
    learned_similarity: Tensor

    whole_gradients = ("proxies",)  # dml.processes

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        margin: float = 0.1,
        alpha: float = 32.0,
        k: float = 0.9,
        V: float = 100.0,
        lam: float = 0.1,
        h: float = 0.15,
        tau: float = 1.5,
        memory_size: int | None = PUBLISHED_SIZE,
        memory_from_epoch: int = 2,
        similarity: Similarity | None = None,
    ):
        super().__init__()
        if V < 1:
            raise UserError(f"--V must be at least 1, got {V}")
        self.num_classes, self.embedding_size = num_classes, embedding_size
        self.margin, self.alpha, self.k, self.V, self.lam, self.h, self.tau = margin, alpha, k, V, lam, h, tau
        self.memory_from_epoch, self.similarity = memory_from_epoch, similarity
        self.width = embedding_size if similarity is None else similarity.width(embedding_size)
        self.memory_enabled = self.filter_enabled = False
        self.proxies = init_proxies(num_classes, embedding_size)
        self.register_buffer("counter", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("effective_number", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("learned_similarity", torch.ones(num_classes, dtype=torch.float64))
        self.memory = None
        if memory_size is not None:
            self.memory = ClassMeanMemory(size=memory_size, embedding_size=embedding_size, num_classes=num_classes)

    def start_epoch(self, epoch: int) -> None:
        """Enter the phase of ``epoch``, counted from 0 as in the published loop; without a memory the first."""
        self.memory_enabled = self.memory is not None and epoch >= self.memory_from_epoch
        self.filter_enabled = self.memory is not None and epoch > self.memory_from_epoch

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) unit-length embeddings and (B,) int64 labels in 0..C−1.

        With a similarity of its own it takes that one's rows, which begin with the embeddings.

        NOTE: the embeddings are not normalised here, as published: the networks give unit vectors.
        NOTE: the published constructor ignores ``--alpha`` and ``--mrg`` and fails on exp(−τ); here they count.

        Raises:
            UserError: shapes or labels that do not fit, or a batch larger than the memory.
        """
        check_batch(embeddings, labels, self.num_classes, self.width)
        rows = widen(embeddings)
        embeddings = rows[:, : self.embedding_size]
        inverse_norms = torch.rsqrt(self.proxies.square().sum(1) + EPS)
        cosine = (embeddings @ self.proxies.T) * inverse_norms  # (B, C)
        similarity = cosine if self.similarity is None else self.similarity.similarities(rows, self.proxies)
        own = own_class(similarity, labels)  # (B,)
        thresholds = self.class_thresholds()
        positive, negative = self.pair_weights(cosine.detach(), labels, thresholds)
        per_class = class_counts(labels, self.num_classes)  # (C,)
        loss = self._pull(own, labels, positive, per_class) + self._push(similarity, labels, negative, per_class)
        if self.training:
            keep = None
            if self.filter_enabled:
                keep = own_class(cosine.detach(), labels) >= thresholds.outlier.to(own.dtype)[labels]
            self._learn(embeddings.detach(), labels, keep, per_class)
        return loss

    def class_thresholds(self) -> ClassThresholds:
        """Thresholds of every class, from the state as it stands."""
        distance = (1 + self.k * (1 - self.learned_similarity)) * self._balance() + self.lam
        return ClassThresholds(distance, self.learned_similarity - distance)

    def class_weights(self) -> Tensor:
        """(C,) float64 w: near 1 until the effective number comes near V, then falling."""
        saturation = (1 + math.exp(-self.tau)) / (1 + torch.exp(self.V - self.tau - self.effective_number))
        return 1 + saturation * (self._balance() - 1)

    def _balance(self) -> Tensor:
        return 1 / (1 + torch.log1p(self.effective_number))

    def pair_weights(self, similarity: Tensor, labels: Tensor, thresholds: ClassThresholds) -> tuple[Tensor, Tensor]:
        """Weights of the pairs of a batch: constants, through which no gradient flows.

        Args:
            similarity: (B, C) cosines of embeddings and proxies.
            labels: (B,) int64.

        Returns:
            (B,) weights of the samples' pairs with their own proxies, and (B, C) of those with the others; the
            latter means nothing at a sample's own class.
        """
        outlier = thresholds.outlier.to(similarity.dtype)
        far = 1 / self.effective_number.clamp_min(1).to(similarity.dtype)
        negative = torch.where(similarity < outlier, far, 1.0)
        own = own_class(similarity, labels)
        if not self.filter_enabled:
            return torch.ones_like(own), negative
        informative = (own >= outlier[labels]) & (own <= self.learned_similarity.to(own.dtype)[labels])
        return self.class_weights().to(own.dtype)[labels] + informative, negative

    def _pull(self, own: Tensor, labels: Tensor, weights: Tensor, per_class: Tensor) -> Tensor:
        """Attraction of samples to their proxies, over the sum of the present classes' mean weights."""
        scale = self.alpha * weights
        attraction = torch.addcmul(self.margin * scale, -scale, own)  # scale · (δ − similarity)
        mean_weights = (weights / per_class[labels]).sum()
        return log1p_sum_exp_by_class(attraction, labels, self.num_classes).sum() / mean_weights

    def _push(self, similarity: Tensor, labels: Tensor, weights: Tensor, per_class: Tensor) -> Tensor:
        """Repulsion of samples from other proxies, over the sum of the mean weights of classes that have any."""
        weights = weights.scatter(1, labels[:, None], 0.0)
        scale = self.alpha * weights
        offset = (self.margin * scale).scatter_(1, labels[:, None], -torch.inf)
        repulsion = torch.addcmul(offset, scale, similarity)  # scale · (similarity + δ), −∞ at the own class
        others = len(labels) - per_class  # (C,) negatives of each class
        mean_weights = (weights.sum(0) / others.clamp_min(1)).sum()
        # Only a single class has no negatives at all: its sum is 0 then, and so is its repulsion.
        return log1p_sum_exp(repulsion, dim=0).sum() / mean_weights.clamp_min(torch.finfo(weights.dtype).tiny)

    @torch.no_grad()
    def _learn(self, embeddings: Tensor, labels: Tensor, keep: Tensor | None, per_class: Tensor) -> None:
        """Count the samples to keep (None: all), put them into the memory, learn the similarity of their classes."""
        new = per_class if keep is None else torch.zeros_like(per_class).index_add_(0, labels, keep.long())
        self.counter += new
        beta = (self.V - 1) / self.V
        effective_number = (1 - beta**self.counter) / (1 - beta)
        self.effective_number.copy_(torch.where(new > 0, effective_number, self.effective_number))
        if self.memory_enabled:
            self.memory.enqueue(embeddings, labels, keep)
            means, rows = self.memory.class_means(labels)  # (B, D), (B,)
            learned = self.h * (l2_normalize(self.proxies[labels]) * means).sum(1)
            learned = torch.where(rows > 0, learned, self.learned_similarity[labels])
            self.learned_similarity.index_copy_(0, labels, learned)  # samples of a class write the same value


def proxy_isa_without_memory(
    *,
    num_classes: int,
    embedding_size: int,
    margin: float = 0.1,
    alpha: float = 32.0,
    V: float = 100.0,
    lam: float = 0.1,
    similarity: Similarity | None = None,
) -> ProxyISALoss:
    """Proxy-ISA that stays in its first phase: what the published code trains without ``--enableMemory``."""
    return ProxyISALoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        margin=margin,
        alpha=alpha,
        V=V,
        lam=lam,
        memory_size=None,
        similarity=similarity,
    )


_OPTIONS = {
    **proxy_anchor.SPEC.options,
    "V": Option("V", "effective number of samples at which a class counts as fully seen", within=at_least(1)),
    "lam": Option("lam", "λ, least distance between learned similarity and outlier threshold", within=at_least(0)),
}

SPECS = (
    LossSpec(
        name="proxy_isa",
        build=ProxyISALoss,
        recipe="proxy_isa",
        options={
            **_OPTIONS,
            "k": Option("k", "how much the outlier threshold falls with the learned similarity", within=at_least(0)),
            "isa-h": Option("h", "factor h from the mean similarity in the memory to the learned one", within=above(0)),
            "isa-tau": Option("tau", "τ, how near to V the weights of positives begin to fall", within=above(0)),
            **MEMORY_OPTIONS,
        },
        lr_scale=100.0,
        clip=True,
        with_memory="proxy_isa",
    ),
    LossSpec(
        name="proxy_isa_without_memory",
        build=proxy_isa_without_memory,
        spellings=("ProxyISA",),
        recipe="proxy_isa",
        options=_OPTIONS,
        lr_scale=100.0,
        clip=True,
        with_memory="proxy_isa",
        advice="without --enableMemory Proxy-ISA stays in its first phase: it learns no similarities and filters no"
        " outliers",
    ),
)
