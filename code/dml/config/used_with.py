"""Conditions that several flags share: which other settings they are used with."""

from __future__ import annotations

from dml.conditions import Condition, Settings, unless, when

OWN_IMAGES = when("dataset", "folder")
RANDOM_CROPS = (
    when("augment", True),
    Condition(
        lambda settings: settings.get("crop_padding") is None,
        "is used by crops of random scale only, which --crop-padding replaces",
        refused=True,
    ),
)
COUNTED_BY_CLASS = Condition(
    lambda settings: settings["sampler"] != "power_balanced",
    "{IPC}: the number has no effect with --sampler power_balanced, as published",
)
BATCH_NORM = Condition(
    lambda settings: settings["has_batch_norm"], "has no effect with --model {model}, which has no batch normalisation"
)
RANDOM_WEIGHTS = Condition(
    lambda settings: not (settings["pretrained"] or settings["init_from"] or settings.get("resume")),
    "has no effect with weights to start from",
)
NOT_OF_TARGETS = Condition(
    lambda settings: settings["program"] != "train_target.py", "is not used by train_target.py", refused=True
)
WITH_PROXIES = Condition(
    lambda settings: settings["has_proxies"], "is not used by --loss {loss}, which has no proxies", refused=True
)
WITH_PARAMETERS = Condition(
    lambda settings: settings["has_parameters"],
    "is not used by --loss {loss}, which has no proxies or other parameters of its own",
    refused=True,
)


def _decays(settings: Settings) -> bool:
    """Whether a multistep schedule decays before the training ends."""
    decayed = any(milestone < settings["epochs"] for milestone in settings["milestones"])
    return settings["scheduler"] != "multistep" or decayed


DECAYING = Condition(
    _decays,
    "has no effect: none of the --milestones ({milestones}) lies within the {epochs} epochs, so the rate never decays;"
    " --scheduler cosine fits any length",
)
SENT_TO_WANDB = unless("wandb", "disabled")
WITH_PICTURES = Condition(
    lambda settings: settings["pictures"] or settings["visualize"], "has no effect with --pictures 0"
)


def _draws_a_head(settings: Settings) -> bool:
    """Whether a head starts as ``--head-init`` says: the student's, or that of a teacher that starts by itself."""
    by_itself = settings["loss"] == "stml" and settings.get("teacher_init") == "random"
    return by_itself or not settings.get("resume")


DRAWN_HEADS = Condition(_draws_a_head, "has no effect with --resume, which brings the heads, too")


def _names_a_group(settings: Settings) -> bool:
    """Whether W&B is told of ``--group``, or a run is named after it, as LSD's ``--savename group_plus_seed`` does."""
    named = settings["run_name"] == f"{settings['group']}_s{settings['seed']}"
    return named or SENT_TO_WANDB.holds(settings)


NAMES_A_GROUP = Condition(_names_a_group, SENT_TO_WANDB.otherwise)
