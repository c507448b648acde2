"""Training on every image of a user's own, for use: nothing is tested."""

from __future__ import annotations

from dml.data import EveryImageData
from dml.errors import UserError
from dml.training.unlabelled import UnlabelledTask


class EveryImageTask(UnlabelledTask):
    """Every image trains, with its class, and is embedded at the end, as of ``UnlabelledTask``: an archive to search
    in. The network of the last epoch counts as the best."""

    data: EveryImageData
    compares_views = False

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, by label."""
        return self.data.train.class_names

    def _check_selection(self) -> None:
        """Nothing chooses an epoch. UserError for pictures of test classes."""
        if self.config.run.visualize:
            raise UserError("--visualize shows test classes, and with --split all there are none: leave it out")

    def describe(self) -> tuple[str, str]:
        """What trains; backbone and embedding size."""
        train = self.data.train
        told = f"{self.data.name}: training {train.num_classes} classes, {len(train)} images: all there are"
        return f"{told}. Nothing is tested, and the last epoch is kept", super().describe()[1]
