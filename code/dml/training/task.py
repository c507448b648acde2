"""What a run learns from and is judged by; the session puts a training together around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import Dataset

from dml.config import TrainConfig
from dml.data import ImageRecords
from dml.data.records import LeftOut
from dml.errors import UserError
from dml.evaluation.answers import Answers
from dml.methods.base import Method
from dml.training.checkpoint import TrainingState
from dml.training.selection import Selection, require_computed, require_looks


class TrainingData(Protocol):
    """What every kind of loaded data has."""

    name: str
    train: ImageRecords
    val: ImageRecords | None
    by_rule: bool
    unused: ImageRecords | None

    @property
    def parts(self) -> dict[str, ImageRecords]: ...

    left_out: tuple[LeftOut, ...]


class Task(ABC):
    """A kind of training: its images, its metrics, its pictures.

    Args:
        config, fabric, data, method: the run's.

    Attributes:
        held_out: what the validation split consists of, in words.
        how_to_hold_out: the flags that make one.

    Raises:
        UserError: settings that do not fit each other or the data.
    """

    held_out = "held-out classes"
    how_to_hold_out = "--val-split SHARE or --fold i/k"

    def __init__(self, config: TrainConfig, fabric: Fabric, data: TrainingData, method: Method):
        self.config, self.fabric, self.data, self.method = config, fabric, data, method
        self._check_selection()

    @property
    def selection(self) -> Selection:
        """How the best epoch is chosen: by default on the validation split where there is one."""
        evaluation = self.config.evaluation
        split = "eval" if self.data.val is None or evaluation.select == "test" else "val"
        return Selection(split, evaluation.select_metric, evaluation.storage_metrics[1:], self.held_out)

    def _check_selection(self) -> None:
        """Refuse a ``--select-metric`` that no evaluation will compute, on a split that is not there. UserError."""
        evaluation = self.config.evaluation
        if evaluation.select == "val" and self.data.val is None:
            raise UserError(f"--select val needs {self.held_out}: add {self.how_to_hold_out}")
        require_looks(evaluation, self.selection)
        require_computed(evaluation, self.metric_names())

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the training classes, by label; None where there are no classes."""
        return self.data.train.class_names

    @abstractmethod
    def metric_names(self) -> list[str]:
        """What an evaluation will compute that can choose an epoch."""

    @abstractmethod
    def describe(self) -> tuple[str, str]:
        """Two lines for people: the images, the network."""

    def keep_records(self, folder: Path) -> None:  # noqa: B027 (most runs have none)
        """Write what else belongs to the run into its folder, or check it against what a continued run left there."""

    @abstractmethod
    def training_set(self) -> Dataset:
        """The training images, transformed as a step sees them."""

    @property
    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """The prefixes of what is evaluated: "eval", the test split, first; empty where nothing judges the network."""

    def answers(self) -> dict[str, Answers]:
        """Prefix of a split → how many queries it has, and how many can be answered; empty where there are none."""
        return {}

    @property
    def baselines(self) -> Callable[[nn.Module], dict[str, dict[str, float]]] | None:
        """Gives of the untrained network title → metrics of the test split of what needs no training; None: nothing."""
        return None

    @abstractmethod
    def evaluate(self, prefix: str, model: nn.Module) -> dict[str, float]:
        """The metrics of one split; that of the test split is kept for the pictures."""

    @property
    @abstractmethod
    def is_evaluated(self) -> bool:
        """Whether there is an evaluation of the test split to draw."""

    def closing(self, state: TrainingState) -> list[str]:
        """Lines for people at a run's end, in the first process."""
        return []

    def write(self, folder: Path) -> dict[str, Path]:
        """Leave what a run is for, beside its checkpoints, in its folder; name → path. Called on the first process."""
        return {}

    @abstractmethod
    def draw(self, folder: Path) -> dict[str, Path]:
        """Draw the pictures of a run into its folder; name → path."""
