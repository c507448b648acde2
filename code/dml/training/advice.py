"""What a run says of itself where training did not pay: why that may be, and which flags change it."""

from __future__ import annotations

from pathlib import Path

from dml.config import TrainConfig
from dml.evaluation.baselines import COLOURS, FEATURES, PIXELS, UNTRAINED
from dml.methods.length import has_weights
from dml.metric_names import LEADING, label, percent
from dml.metrics_file import read_record
from dml.models.backbones import BACKBONES, class_of
from dml.tracking import METRICS_FILE
from dml.training.checkpoint import TrainingState

FEW_STEPS = 1_000
"""Steps below which too short a training is a likely reason."""

_RECOLOURING = ("adv", "lighting")


class BaselineWarning(UserWarning):
    """A trained network that finds less than what needs no training."""


def below_baselines(config: TrainConfig, state: TrainingState, metric: str) -> str | None:
    """What is to be said of a best epoch that some baseline beats, None of others: by how much, likely reasons and the
    flags that change them.

    Args:
        metric: that chooses the best epoch; judged by where neither R@1 nor MAP@R is computed.
    """
    best, baselines = state.best.get("eval"), dict(state.baselines)
    if not (best and baselines):
        return None
    if "eval" in state.untrained:
        baselines[UNTRAINED] = state.untrained["eval"]
    judged = [name for name in LEADING[:2] if name in best] or [metric]
    lines, winners = [], []
    for name in judged:
        title = max(baselines, key=lambda title: baselines[title].get(name, 0.0))
        if (beats := baselines[title].get(name, 0.0)) > best[name]:
            lines.append(f"{label(name)} {percent(best[name])}, {title} {percent(beats)}")
            winners.append(title)
    if not lines:
        return None
    why = "\n".join(f"  - {reason}" for reason in _reasons(config, state, winners))
    return f"the best epoch finds less than what needs no training ({'; '.join(lines)}). Likely reasons:\n{why}"


def _reasons(config: TrainConfig, state: TrainingState, winners: list[str]) -> list[str]:
    """The likely ones first."""
    data, model, optim = config.data, config.model, config.optim
    found = []
    if not has_weights(config):
        found.append(
            "it began with random weights: --pretrained 1 (a download), --weights FILE, or --init-from a run of yours"
        )
        if model.bn_freeze and class_of(BACKBONES[model.model]).has_batch_norm:
            found.append("batch normalisation is frozen at statistics that nothing was trained with: --bn-freeze 0")
        if optim.warm:
            found.append(f"in its first {_epochs(optim.warm)} only heads trained, on a random backbone: --warm 0")
    if {FEATURES, UNTRAINED} & set(winners):
        found.append(f"training led away from where it began: a lower --lr than {optim.lr:g}, or fewer --epochs")
    if state.best_epoch == state.epoch:
        found.append(f"it was still getting better in its last epoch: more --epochs than {optim.epochs}")
    if state.step < FEW_STEPS:
        enough = -(-FEW_STEPS * state.epoch // max(state.step, 1))
        found.append(f"it took {state.step:,} steps in all, which are few: --epochs {enough} takes {FEW_STEPS:,}")
    if COLOURS in winners and data.augment and data.augmentation in _RECOLOURING:
        found.append(
            f"colours tell these classes apart, and training changes them: --augmentation base, not {data.augmentation}"
        )
    if {COLOURS, PIXELS} & set(winners) and data.augment and data.crop_scale < 0.3:
        found.append(
            f"training crops show as little as {data.crop_scale:.0%} of a photograph, the search all of it:"
            " --crop-scale 0.5"
        )
    if COLOURS in winners and not found:
        found.append("colours tell these classes apart better than shapes: the histogram may be all that you need")
    return found or [f"the settings do not fit these images: another --lr than {optim.lr:g}, another --loss"]


def what_helps(config: TrainConfig) -> str:
    """The flags to try where a training without labels does not learn."""
    sigma = ["a smaller --sigma, as small as the teacher's distances are"] if "sigma" in config.loss.options else []
    crops = ["crops that show more of an image (--crop-scale 0.4)"] if config.data.augment else []
    return ", ".join(["a lower --lr", *sigma, *crops, "more --epochs"]) + "; the loss by epoch is in curves.png"


def rising_loss(config: TrainConfig, folder: Path) -> str | None:
    """What is to be said of a training without labels whose loss is higher at its end than in its first epoch; None of
    others.

    Args:
        folder: of the run.
    """
    losses = [line["train/loss"] for line in read_record(folder / METRICS_FILE) if "train/loss" in line]
    if len(losses) < 2 or losses[-1] <= losses[0]:
        return None
    return (
        f"the loss rose, from {losses[0]:.4g} in the first epoch to {losses[-1]:.4g} in the last: the student got no"
        f" nearer to what its teacher says: {what_helps(config)}"
    )


def _epochs(number: int) -> str:
    return "epoch" if number == 1 else f"{number} epochs"
