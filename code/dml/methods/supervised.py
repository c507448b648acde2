"""Training with class labels: embed the batch, take the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dml.data.samplers import Sampler
from dml.losses import choose_loss
from dml.losses.functional import redraw_uniformly
from dml.methods.base import Given, Method, ParamGroup, backbone_groups, head_lr_scale, train_only_new
from dml.methods.batches import create_sampler
from dml.methods.criterion import create_criterion, proxies_of, refuse_without_pairs
from dml.methods.terms import build_terms
from dml.methods.terms.base import Seen, Term
from dml.models import EmbeddingNet
from dml.normalize import widen
from dml.processes import gather_rows, keep_memories_apart
from dml.structures import Batch, Progress, StepOutput


class SupervisedMethod(Method):
    """A network, a loss over embeddings and labels, and terms beside it.

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
        terms: what is done beside, in this order; each becomes a submodule by its name.

    Raises:
        ValueError: a term whose name is taken.
    """

    model: EmbeddingNet

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
        terms: Sequence[Term] = (),
    ):
        super().__init__()
        self.model, self.criterion, self.sampler, self.warm = model, criterion, sampler, warm
        self.terms = tuple(terms)
        for term in self.terms:
            if hasattr(self, term.name):
                raise ValueError(f"two parts of a method are called {term.name!r}")
            self.add_module(term.name, term)
        self.training_only = ("criterion.memory.", *(f"{term.name}." for term in self.terms))
        self.rows_of_images = tuple(f"{term.name}.{name}" for term in self.terms for name in term.rows_of_images)
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
            *self._groups_of_terms(),
        ]

    def _groups_of_terms(self) -> list[ParamGroup]:
        learning = {term.name: [p for p in term.parameters() if p.requires_grad] for term in self.terms}
        return [ParamGroup(name, parameters, new=True) for name, parameters in learning.items() if parameters]

    def param_groups(self) -> list[ParamGroup]:
        """Backbone, head, criterion, and each term that learns something."""
        return self._groups

    def epoch_batches(self, epoch: int) -> np.ndarray:
        """The first term's that plans batches, else the sampler's."""
        plans = (term.plan(self.model, self.sampler, epoch) for term in self.terms)
        planned = next((plan for plan in plans if plan is not None), None)
        return self.sampler.plan(epoch) if planned is None else planned

    def images_per_batch(self) -> int:
        """The sampler's, known without a plan."""
        return self.sampler.images_per_batch

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
        output = self.outputs(self.model, images)
        parts = [widen(part) for part in (output.embedding, output.uncertainty) if part is not None]
        return gather_rows(torch.cat(parts, dim=1), num_views)

    def judge(self, rows: Tensor, batch: Batch, progress: Progress) -> StepOutput:
        """The loss of the ``rows`` of all processes, of which ``batch`` is this one's part."""
        labels = gather_rows(batch.labels, batch.num_views)
        ranking = self.ranking_loss(rows, labels)
        added = self._added(rows, labels, batch, progress) if self.terms else {}
        if not added:
            return StepOutput(ranking)
        logs = {"rank_loss": ranking.detach()} | {term.log_name(): value.detach() for term, value in added.items()}
        return StepOutput(ranking + sum(added.values()), logs)

    def _added(self, rows: Tensor, labels: Tensor, batch: Batch, progress: Progress) -> dict[Term, Tensor]:
        """What each term adds to the loss, of those that do."""
        kind = rows.device.type
        mixed = torch.is_autocast_enabled(kind)
        seen = Seen(batch, self.embeddings_of(rows), labels, self.model, progress, mixed, self.pieces)
        with torch.autocast(kind, enabled=False):
            return {term: value for term in self.terms if (value := term.loss(seen)) is not None}

    def embeddings_of(self, rows: Tensor) -> Tensor:
        """(N, D) embeddings of (N, width) rows, without what stands behind them."""
        return rows[:, : self.model.architecture.embedding_size]

    def ranking_loss(self, rows: Tensor, labels: Tensor) -> Tensor:
        """The criterion of rows and labels of all processes."""
        with torch.autocast(rows.device.type, enabled=False):
            return self.criterion(rows, labels)

    def after_optimizer_step(self) -> None:
        """The terms' own."""
        for term in self.terms:
            term.after_optimizer_step(self.model)

    def end_epoch(self, progress: Progress) -> None:
        """The terms' own."""
        for term in self.terms:
            term.end_epoch(self.model)

    def move_images(self, saved: dict[str, Tensor], moved: np.ndarray) -> dict[str, Tensor]:
        """As of every method, and as each term has it."""
        saved = super().move_images(saved, moved)
        for term in self.terms:
            prefix = f"{term.name}."
            own = {name.removeprefix(prefix): value for name, value in saved.items() if name.startswith(prefix)}
            saved |= {prefix + name: value for name, value in term.move_images(own, moved).items()}
        return saved

    def proxies(self) -> Tensor | None:
        """The criterion's proxies, if it has any."""
        proxies = getattr(self.criterion, "proxies", None)
        return None if proxies is None else proxies.detach()


def build(given: Given[EmbeddingNet], method: Callable[..., SupervisedMethod] = SupervisedMethod) -> SupervisedMethod:
    """The method of ``code/train.py``: the configured loss over the training classes, and the terms beside it.

    Args:
        method: whose steps.

    Raises:
        UserError: settings that do not fit the loss or the training set.
    """
    config, train = given.config, given.train
    choice = choose_loss(config.loss.loss, memory=config.loss.memory)
    spec = choice.spec
    sampler = create_sampler(config, train.labels)
    if train.class_counts().max() < 2 and spec.learns_from_pairs:
        refuse_without_pairs(config, choice)
    criterion = create_criterion(config, choice, train.num_classes)
    if config.optim.init_type != "normal":
        proxies = proxies_of(criterion, config)
        if config.optim.init_type == "uniform":
            redraw_uniformly(proxies)
    scale = config.optim.proxy_lr_scale
    return method(
        model=given.model,
        criterion=criterion,
        sampler=sampler,
        head_lr_scale=head_lr_scale(config.optim),
        proxy_lr_scale=1.0 if scale is None else scale,  # None: of a loss without parameters
        clip_proxies=spec.clip,
        decay_proxies=spec.decays,
        warm=config.optim.warm,
        terms=build_terms(given),
    )
