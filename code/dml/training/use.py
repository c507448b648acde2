"""What a run on a user's own images tells of their use: what is tested, and how to train on all of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePath

from dml.config import TrainConfig
from dml.data import KnownClassesData, RetrievalData
from dml.training.launcher import find_launcher

# Schedules of which fewer epochs are the first ones of more.
_CUT_SHORT = ("constant", "step", "multistep", "exp")
# What says how a test or a held-out part is chosen, with its value where it has one, in every spelling.
_OF_TESTING = ("val_split", "val_by_images", "tv_split_by_samples", "fold", "use_tv_split", "tv_split_perc")
_OF_TESTING += ("split", "select", "visualize", "run_name", "savename")


def what_is_tested(data: RetrievalData) -> str | None:
    """Which of a user's own images train and which test, and how this can be otherwise; None: their folders or list
    say so themselves."""
    if not data.is_own or not data.by_rule:
        return None
    if isinstance(data, KnownClassesData):
        return (
            "every class trains; a fifth of each one's images is held out and searched in the rest. --split classes"
            " tests on classes that do not train, --split all trains on every image and tests nothing"
        )
    first, last = data.query.class_names[0], data.query.class_names[-1]
    return (
        f"half of the classes, {first} to {last}, do not train: they test how new classes are told apart."
        " --split images trains on every class and tests on new images of them; --split all tests nothing"
    )


def how_to_train_on_all(config: TrainConfig, command: Sequence[str], *, best_epoch: int | None) -> str:
    """The command that trains as the run did, on every image, as long as to its best epoch where that is the same.

    Args:
        command: the words that began the run; of one that Python began, others.
        best_epoch: None where nothing chose one.
    """
    told = "for use, train on all of your images with these settings, which tests nothing"
    if not command or PurePath(command[0]).name not in (config.program, "main.py"):
        return f"{told}: --split all"
    words = [*find_launcher().command, *_without(command, _OF_TESTING), "--split", "all"]
    if best_epoch and best_epoch < config.optim.epochs and config.optim.scheduler in _CUT_SHORT:
        words += ["--epochs", str(best_epoch)]
    return f"{told}:\n  {shlex.join(words)}"


def _without(command: Sequence[str], names: Sequence[str]) -> list[str]:
    """``command`` without the flags ``names``, in either spelling, and the words that follow one up to the next."""
    kept, skipping = [], False
    for word in command:
        if word.startswith("--"):
            skipping = word[2:].partition("=")[0].replace("-", "_") in names
        if not skipping:
            kept.append(word)
    return kept
