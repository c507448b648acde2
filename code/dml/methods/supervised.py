"""Training with class labels: embed the batch, take the loss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dml.data.samplers import Sampler
from dml.methods.base import Method, ParamGroup, backbone_groups, train_only_new
from dml.methods.feature_storage import FeatureStorage
from dml.methods.self_distillation import SelfDistillation
from dml.models import EmbeddingNet
from dml.normalize import widen
from dml.processes import gather_rows, keep_memories_apart
from dml.structures import Batch, Progress, StepOutput


class SupervisedMethod(Method):
    """A network and a loss over embeddings and labels.

    Args:
        model: the embedding network.
        criterion: ``loss(rows (B, width), labels (B,)) -> scalar``, rows as ``describe`` gives them; one that goes
            through phases has a method ``start_epoch(epoch)``, called before the steps of each epoch, counted from 0.
        sampler: plans the batches.
        head_lr_scale: learning rate of the heads in multiples of the base rate.
        proxy_lr_scale: that of the criterion's parameters.
        clip_proxies: whether gradient clipping applies to them.
        decay_proxies: whether weight decay does.
        warm: epochs in which only head and criterion train.
        distillation: adds listwise self-distillation; None without.
        storage: the features that the sampler looks at before each epoch; None for samplers that do not look.
    """

    training_only = ("criterion.memory.", "distillation.", "storage.")
    rows_of_images = ("storage.features", "storage.change")

    def __init__(
        self,
        *,
        model: EmbeddingNet,
        criterion: nn.Module,
        sampler: Sampler,
        head_lr_scale: float = 1.0,
        proxy_lr_scale: float = 1.0,
        clip_proxies: bool = False,
        decay_proxies: bool = True,
        warm: int = 0,
        distillation: SelfDistillation | None = None,
        storage: FeatureStorage | None = None,
    ):
        super().__init__()
        self.model, self.criterion, self.sampler, self.warm = model, criterion, sampler, warm
        self.distillation, self.storage = distillation, storage
        keep_memories_apart(self)
        self._groups = [
            *backbone_groups(model),
            # NOTE: all heads train during the warm-up; the published IDML leaves its uncertainty head out.
            ParamGroup("head", list(model.new_parameters()), head_lr_scale, new=True),
            ParamGroup(
                "criterion",
                list(criterion.parameters()),
                proxy_lr_scale,
                new=True,
                clip=clip_proxies,
                decay=decay_proxies,
            ),
        ]

    def param_groups(self) -> list[ParamGroup]:
        """Backbone, head and criterion."""
        return self._groups

    def epoch_batches(self, epoch: int) -> np.ndarray:
        """The sampler's plan, by the stored features if the sampler looks at features."""
        if self.storage is None:
            return self.sampler.plan(epoch)
        features, change = self.storage.for_epoch(self.model)
        self.sampler.set_features(features.cpu().numpy())
        plan = self.sampler.plan(epoch)
        self.storage.keep(features, change)
        return plan

    def images_per_batch(self) -> int:
        """Known to samplers of features without a plan."""
        return super().images_per_batch() if self.storage is None else self.sampler.images_per_batch

    def start_epoch(self, progress: Progress) -> None:
        """Freeze what the warm-up leaves out, release it afterwards; let the criterion enter its phase."""
        if self.warm:
            train_only_new(self._groups, warm_up=progress.epoch < self.warm)
        if hasattr(self.criterion, "start_epoch"):
            self.criterion.start_epoch(progress.epoch)

    def training_step(self, batch: Batch, progress: Progress) -> StepOutput:
        """The criterion over the global batch, in float32 whatever the network's precision."""
        return self.judge(self.describe(batch.images, batch.num_views), batch, progress)

    def describe(self, images: Tensor, num_views: int) -> Tensor:
        """What the criterion takes, of the images of all processes, in float32 or wider.

        Args:
            images: (V·B, 3, H, W) this process's.
            num_views: V.

        Returns:
            (V·W·B, D) embeddings; (V·W·B, 2 D), each with its uncertainty behind, of a network with that head.
        """
        output = self.model(images)
        parts = [widen(part) for part in (output.embedding, output.uncertainty) if part is not None]
        return gather_rows(torch.cat(parts, dim=1), num_views)

    def judge(self, rows: Tensor, batch: Batch, progress: Progress) -> StepOutput:
        """The loss of the ``rows`` of all processes, of which ``batch`` is this one's part."""
        labels = gather_rows(batch.labels, batch.num_views)
        ranking = self.ranking_loss(rows, labels)
        if self.storage is not None:
            self.storage.after_step(gather_rows(batch.indices, batch.num_views), self.embeddings_of(rows))
        distilled = None
        if self.distillation is not None:
            distilled = self.distillation(batch, self.embeddings_of(rows), labels, progress)
        if distilled is None:
            return StepOutput(ranking)
        return StepOutput(ranking + distilled, {"rank_loss": ranking.detach(), "kd_loss": distilled.detach()})

    def embeddings_of(self, rows: Tensor) -> Tensor:
        """(N, D) embeddings of (N, width) rows, without what stands behind them."""
        return rows[:, : self.model.architecture.embedding_size]

    def ranking_loss(self, rows: Tensor, labels: Tensor) -> Tensor:
        """The criterion of rows and labels of all processes."""
        with torch.autocast(rows.device.type, enabled=False):
            return self.criterion(rows, labels)

    def end_epoch(self, progress: Progress) -> None:
        """The student becomes the teacher of the next epoch, if there is one."""
        if self.distillation is not None:
            self.distillation.end_epoch(self.model)

    def move_images(self, saved: dict[str, Tensor], moved: np.ndarray) -> dict[str, Tensor]:
        """As of every method; where images are new, features are computed anew before the next epoch is planned."""
        saved = super().move_images(saved, moved)
        if self.storage is not None and (moved >= 0).sum() < len(self.storage.features):
            saved["storage.filled"] = torch.zeros_like(saved["storage.filled"])
        return saved

    def proxies(self) -> Tensor | None:
        """The criterion's proxies, if it has any."""
        proxies = getattr(self.criterion, "proxies", None)
        return None if proxies is None else proxies.detach()
