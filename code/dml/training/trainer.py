"""The one training loop. What a step is, is the method's; devices, precision and processes are Fabric's."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader
from tqdm import tqdm

from dml.config import EvalConfig, OptimConfig
from dml.data.images import UnreadableImageError
from dml.data.loader import LoadingError, PlannedBatches
from dml.devices import fit_to_device
from dml.evaluation.answers import Answers
from dml.methods.base import Method
from dml.metric_names import COUNTS, label, value_text
from dml.models.reading import read_torch_file
from dml.processes import share_buffers
from dml.structures import Batch, Progress
from dml.tracking import Tracker, say
from dml.training.checkpoint import Checkpoints, Metrics, TrainingState
from dml.training.interrupt import Interrupted, InterruptGuard
from dml.training.keeper import Keeper
from dml.training.losswatch import LossWatch, all_zero_text
from dml.training.optim import Schedule, clip_gradients, create_optimizer
from dml.training.peers import Peers
from dml.training.remaining import remaining_text
from dml.training.selection import Selection

Evaluate = Callable[[torch.nn.Module], Metrics]


class Trainer:
    """Trains ``method`` and keeps its record.

    Args:
        fabric: launched.
        method: what to train.
        loader: gives the batches that ``batches`` plans.
        batches: told each epoch's plan.
        evaluate: prefix ("eval", "val") → function of the network that gives its metrics; "eval" is the test split.
            Empty: nothing judges the network, and the newest counts as the best.
        selection: how the best epoch is chosen.
        answers: prefix → how many queries the split has, and how many of them can be answered; of retrieval alone.
        optim: optimiser, schedule, epochs.
        evaluation: when to evaluate.
        tracker: the record.
        folder: the run's folder.
        description: put into each checkpoint: architecture, configuration and class names, as plain types.
        keep_best: whether to write best.pt, and best_<metric>.pt of the selection's other metrics.
        baselines: function of the untrained network that gives title → metrics of what needs no training, for the
            tables; None: there are none.
        after_epoch: called with the number of complete epochs, 0 before the first.
        resume_hint: how to go on after an interruption.
        mend_hint: how to go on after an image could not be read; None: the same.
    """

    def __init__(
        self,
        *,
        fabric: Fabric,
        method: Method,
        loader: DataLoader[Batch],
        batches: PlannedBatches,
        evaluate: Mapping[str, Evaluate],
        selection: Selection,
        optim: OptimConfig,
        evaluation: EvalConfig,
        tracker: Tracker,
        folder: Path,
        description: dict[str, Any],
        answers: Mapping[str, Answers] | None = None,
        keep_best: bool = True,
        baselines: Callable[[torch.nn.Module], dict[str, Metrics]] | None = None,
        after_epoch: Callable[[int], None] = lambda epoch: None,
        resume_hint: str = "",
        mend_hint: str | None = None,
    ):
        self.fabric, self.method, self.loader, self.batches = fabric, method, loader, batches
        self.evaluate, self.selection, self.optim, self.evaluation = evaluate, selection, optim, evaluation
        self.tracker, self.folder, self.answers = tracker, folder, answers or {}
        self.after_epoch, self.baselines = after_epoch, baselines
        self._zero_is_said = False
        # Not with a scaler of gradients: a fused step unscales them itself, after they would have been clipped.
        fused = fabric.device.type == "cuda" and getattr(fabric.strategy.precision, "scaler", None) is None
        self._optimizer = create_optimizer(method.param_groups(), optim, fused=fused)
        self.schedule = Schedule(self._optimizer, optim)
        # The first group is the backbone, which learns at the base rate unless rates go by depth or it is frozen.
        first = next(group for group in method.param_groups() if group.parameters)
        self._first_scale = 1.0 if self.schedule.per_batch else first.lr_scale
        self.step_module, self.optimizer = self._set_up()
        peers = Peers(fabric.world_size)
        self.guard = InterruptGuard(peers)
        self.keeper = Keeper(
            fabric,
            peers,
            self.guard,
            Checkpoints(fabric, peers, method, self._optimizer, self.schedule, folder, description),
            tracker=tracker,
            folder=folder,
            selection=selection,
            answers=self.answers,
            keep_best=keep_best,
            resume_hint=resume_hint,
            mend_hint=mend_hint,
        )

    @property
    def state(self) -> TrainingState:
        """Where the run stands."""
        return self.keeper.state

    def _set_up(self) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        """Hand method and optimiser to Fabric with every parameter that ever trains trainable for that moment.

        Data-parallel training only ever exchanges gradients of parameters that are trainable when it wraps them,
        and the end of a warm-up releases some that are not.
        """
        parameters = [parameter for group in self.method.param_groups() for parameter in group.parameters]
        trainable = [parameter.requires_grad for parameter in parameters]
        for parameter in parameters:
            parameter.requires_grad_(True)
        wrapped = self.fabric.setup(fit_to_device(self.method, self.fabric.device), self._optimizer)
        for parameter, flag in zip(parameters, trainable, strict=True):
            parameter.requires_grad_(flag)
        return wrapped

    # ------------------------------------------------------------------ the loop

    def fit(self) -> TrainingState:
        """Train from where the state stands to the last epoch.

        Raises:
            Interrupted, OSError: see ``dml.training.interrupt.stopping_in_order``.
            NonFiniteLossError: the loss stopped being a number; last.pt is left as it was.
        """
        with self.keeper.stopping_in_order():
            if self.state.plan is None:  # of a continued run too: it may have been stopped while it drew
                self._after_epoch()
                if self.state.epoch == 0:
                    self._judge_untrained()
            while self.state.epoch < self.optim.epochs:
                self._epoch()
        return self.state

    def _judge_untrained(self) -> None:
        """What is to be known before the first step, as far as it is asked for."""
        if self.baselines is not None and not self.state.baselines:
            with self.keeper.between_steps():
                self.state.baselines = self.baselines(self.method.model)
        if (self.evaluation.eval_first or self.baselines is not None) and not self.state.untrained:
            self.state.untrained = self._evaluate(0)

    def _epoch(self) -> None:
        state, started = self.state, time.perf_counter()
        is_whole = state.plan is None
        if state.plan is None:
            share_buffers(self.method)
            with self.keeper.between_steps():  # planning may embed the whole training set
                state.plan = self.method.epoch_batches(state.epoch)
        training = self._train(state.plan)
        if self.is_due(state.epoch + 1):
            share_buffers(self.method)
            state.latest, state.latest_epoch = self._evaluate(state.epoch + 1, training), state.epoch + 1
            improved = self.selection.is_best(state)
            kept = ["best.pt"] * improved + self.selection.other_bests(state)
        else:
            self._log(state.epoch + 1, {"train": training})
            improved, kept = False, []
        self.method.end_epoch(self._progress(state.plan))
        self.schedule.after_epoch()
        state.epoch += 1
        state.plan, state.batches_done, state.totals = None, 0, {}
        if improved:
            state.best_epoch, state.best = state.epoch, state.latest
        self.keeper.save(kept)
        if is_whole and state.epoch in (1, self.optim.warm + 1):  # a warm-up's epochs are shorter than those after it
            self._tell_remaining(time.perf_counter() - started)
        self._after_epoch()

    def _tell_remaining(self, seconds: float) -> None:
        """How long the epochs that are left take if each does as long as this one."""
        left = self.optim.epochs - self.state.epoch
        if left and self.fabric.is_global_zero:
            say(remaining_text(left * seconds, left))

    def is_due(self, epoch: int) -> bool:
        """Whether epoch ``epoch`` (from 1) ends with an evaluation."""
        return epoch % self.evaluation.eval_every == 0 or epoch == self.optim.epochs

    def judge_best(self) -> None:
        """Put figures of the test split beside those that chose the best epoch, by its network, where it is to be
        looked at when everything is trained, and has not been; on record they belong to that epoch.

        Without best.pt (``keep_best``) the network of the last epoch is judged, under its own epoch.
        """
        state = self.state
        if not self.selection.looks_at_the_end(self.evaluation) or "eval" in state.best | state.latest:
            return
        model, epoch = self.method.judged, state.best_epoch if self.keeper.keep_best else state.epoch
        if epoch != state.epoch:
            model = copy.deepcopy(model)
            model.load_state_dict(read_torch_file(self.folder / "best.pt")["model"])
        found = self._evaluate(epoch, splits=["eval"], model=model)
        for epoch_of, figures in ((state.best_epoch, state.best), (state.latest_epoch, state.latest)):
            if epoch_of == epoch:
                figures |= found
        self.keeper.save()

    def _train(self, plan: np.ndarray) -> Metrics:
        state = self.state
        self.batches.set_epoch(plan, state.epoch, first=state.batches_done)
        self.method.train()
        self.method.start_epoch(self._progress(plan))
        watch = LossWatch(state.totals)
        started, waited, first = time.perf_counter(), 0.0, state.batches_done
        bar = tqdm(
            total=len(plan),
            initial=first,
            desc=f"epoch {state.epoch + 1}/{self.optim.epochs}",
            leave=False,
            disable=None if self.fabric.is_global_zero else True,  # None: only where a person looks on
        )
        loader = iter(self.loader) if first < len(plan) else iter(())
        with bar:
            while state.batches_done < len(plan):
                asked = time.perf_counter()
                try:
                    with self.guard.loading():
                        batch = next(loader)
                except (UnreadableImageError, LoadingError, Interrupted):
                    state.totals = watch.totals()
                    raise
                waited += time.perf_counter() - asked
                self._step(batch.to(self.fabric.device, non_blocking=True), plan, watch)
                if self.guard.agreed(last=state.batches_done == len(plan)):
                    state.totals = watch.totals()
                    raise Interrupted(together=True)
                bar.update()
                bar.set_postfix(loss=f"{watch.latest:.4g}", refresh=False)
        state.totals = watch.totals()
        if watch.all_zero and not self._zero_is_said:
            self._zero_is_said = True
            warnings.warn(all_zero_text(state.epoch + 1))
        seconds = time.perf_counter() - started
        images = (len(plan) - first) * plan.shape[1]
        return {
            **{name: total / len(plan) for name, total in state.totals.items()},
            "lr": self._base_rate() * self.schedule.factor(self._progress(plan)),
            "seconds": seconds,
            "data_wait": waited / seconds,
        } | ({"images_per_second": images / seconds} if images else {})  # none: continued after its last batch

    def _base_rate(self) -> float:
        """Of the schedule alone; the first group may learn at another, by its depth."""
        return self._optimizer.param_groups[0]["lr"] / self._first_scale

    def _step(self, batch: Batch, plan: np.ndarray, watch: LossWatch) -> None:
        state = self.state
        progress = self._progress(plan)
        output = self.step_module(batch, progress)
        watch.add(output, state.step, batch.indices)
        self.fabric.backward(output.loss)
        self.method.after_backward()
        if self.optim.clip_value:
            self.fabric.strategy.precision.unscale_gradients(self._optimizer)
            clip_gradients(self._optimizer, self.optim.clip_value)
        with self.schedule.scaled(progress):
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.method.after_optimizer_step()
        if self.method.average is not None:
            self.method.average.update(self.method.model)
        self.schedule.after_batch()
        state.step += 1
        state.batches_done += 1

    def _after_epoch(self) -> None:
        with self.keeper.between_steps():
            self.after_epoch(self.state.epoch)

    def _progress(self, plan: np.ndarray) -> Progress:
        return Progress(self.state.epoch, self.optim.epochs, self.state.step, len(plan))

    # ------------------------------------------------------------------ evaluation

    def _splits_of(self, epoch: int) -> list[str]:
        """What the evaluation after ``epoch`` epochs is of."""
        last = epoch == self.optim.epochs
        looks_at_test = self.selection.looks_at_test(self.evaluation, epoch, last=last)
        return [prefix for prefix in self.evaluate if prefix != "eval" or looks_at_test]

    def _evaluate(
        self,
        epoch: int,
        training: Metrics | None = None,
        *,
        splits: Sequence[str] | None = None,
        model: torch.nn.Module | None = None,
    ) -> dict[str, Metrics]:
        """Evaluate the splits that are due, then write the epoch's lines, all together.

        Args:
            splits, model: instead of those, and of the network that trains.
        """
        results, records = {}, {"train": training} if training is not None else {}
        model = self.method.judged if model is None else model
        with self.keeper.between_steps():
            for prefix in self._splits_of(epoch) if splits is None else splits:
                started = time.perf_counter()
                results[prefix] = self.evaluate[prefix](model)
                counts = self.answers[prefix].counts if prefix in self.answers else {}
                records[prefix] = results[prefix] | counts | {"seconds": time.perf_counter() - started}
        self._log(epoch, records)
        return results

    def _log(self, epoch: int, records: dict[str, Metrics]) -> None:
        if not (records and self.fabric.is_global_zero):
            return
        for prefix, metrics in records.items():
            self.tracker.log(epoch, prefix, metrics)
        say(f"epoch {epoch}/{self.optim.epochs}  " + "  ".join(self._summary(p, m) for p, m in records.items()))

    def _summary(self, prefix: str, metrics: Metrics) -> str:
        if prefix == "train":
            return f"loss {metrics['loss']:.4g}  lr {metrics['lr']:.2e}  {metrics['seconds']:.1f} s"
        names = [name for name in metrics if name != "seconds" and name not in COUNTS]
        shown = dict.fromkeys(name for name in (self.selection.metric, *names[:3], "map_at_r") if name in names)
        values = "  ".join(f"{label(name)} {value_text(name, metrics[name])}" for name in shown)
        return f"{'test' if prefix == 'eval' else prefix}: {values}"

    # ------------------------------------------------------------------ going on

    def resume(self, path: Path) -> None:
        """Continue from ``path``, or from the beginning if no epoch had been completed.

        Raises:
            UserError: not a checkpoint of this run.
        """
        self.keeper.resume(path, is_due=self.is_due)
