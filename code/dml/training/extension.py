"""Another number of epochs for a run than it was begun with, where that gives what that plan would have given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dml.config import TrainConfig
from dml.errors import UserError
from dml.recipes import classification_milestones
from dml.training.checkpoint import read_checkpoint


def with_epochs(config: TrainConfig, epochs: int, folder: Path) -> TrainConfig:
    """The settings of the run in ``folder`` with ``epochs`` epochs, those that are done among them.

    Its record goes on as if the run had been planned so, but for an evaluation that it made because an epoch was to
    be its last.

    Raises:
        UserError: what a step does depends on the number of epochs, or more epochs are done or begun already.
    """
    planned = config.optim.epochs
    if epochs == planned:
        return config
    if reason := _depends_on_epochs(config, epochs):
        raise UserError(
            f"--epochs {epochs}: this run was planned with {planned}, and {reason}: a longer or shorter training is"
            " another one. Start a new run for it"
        )
    _check_done(config, epochs, folder / "last.pt")
    return replace(config, optim=replace(config.optim, epochs=epochs))


def _depends_on_epochs(config: TrainConfig, epochs: int) -> str:
    """What of the steps would be otherwise in a training of ``epochs`` epochs, in words; empty if nothing."""
    optim = config.optim
    if optim.scheduler == "cosine":
        return "--scheduler cosine lowers the rate over all of them"
    if optim.scheduler == "cyclic":
        return "--scheduler cyclic: where in a cycle the training ends is part of the plan"
    if config.distillation is not None and config.distillation.kd_alpha > 0:
        return f"the weight of --loss {config.loss.loss}'s self-distillation grows over all of them"
    if config.classification is not None and optim.scheduler == "multistep":
        old, new = (classification_milestones(config.data.dataset, number) for number in (optim.epochs, epochs))
        if optim.milestones == old != new:
            return f"the milestones {_words(old)} follow from them, which would be {_words(new)}"
    return ""


def _check_done(config: TrainConfig, epochs: int, checkpoint: Path) -> None:
    """UserError if the run has gone too far to end after ``epochs`` epochs."""
    if not checkpoint.exists():
        return
    state = read_checkpoint(checkpoint)["state"]
    done, every = state["epoch"], config.evaluation.eval_every
    begun = done + (state["batches_done"] > 0)
    if epochs < begun:
        what = f"{done} epochs are done" + (" and another has begun" if begun > done else "")
        raise UserError(f"--epochs {epochs}: {what}; give {begun} or more")
    if epochs == done < config.optim.epochs and done % every:
        raise UserError(
            f"--epochs {epochs}: with --eval-every {every} epoch {done} was not evaluated, as the last one has to be;"
            f" give {done + 1} or more"
        )


def _words(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))
