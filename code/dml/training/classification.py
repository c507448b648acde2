"""Training for classification: the test images have the classes of the training images."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from dml.config import TrainConfig
from dml.data import ImageRecords
from dml.data.classification import ClassificationData
from dml.data.images import ImageDataset
from dml.data.transforms import padded_crop_transform
from dml.errors import UserError
from dml.evaluation.classification import ClassReport, top_classes, top_k_accuracy
from dml.evaluation.embedding import embed_records
from dml.evaluation.plots.confused_pairs import plot_confused_pairs
from dml.evaluation.plots.confusion import plot_confusion
from dml.evaluation.plots.curves import plot_curves
from dml.methods.base import Method
from dml.metric_names import CLASSIFICATION_METRICS
from dml.models.classifiers import ClassifierNet
from dml.tracking import METRICS_FILE, say
from dml.training.retrieval import training_crops
from dml.training.task import Task
from dml.writing import write_text_atomically

CLASSES_FILE = "classes.csv"


def predict(
    model: ClassifierNet, records: ImageRecords, config: TrainConfig, fabric: Fabric, *, progress: str
) -> Tensor:
    """(N, K) the K ≤ 5 best classes of each image of ``records``, in their order, the same on every process."""
    return embed_records(model, records, config.embedding, fabric, progress=progress, read=top_classes)


def predict_test(model: ClassifierNet, data: ClassificationData, config: TrainConfig, fabric: Fabric) -> Tensor:
    """See ``predict``: what a trained network makes of the test split.

    Raises:
        UserError: the data have other classes than the network.
    """
    if data.train.class_names != model.architecture.classes:
        raise UserError(
            f"the checkpoint tells {len(model.architecture.classes)} classes apart"
            f" ({', '.join(model.architecture.classes[:3])}, …), but {data.name} has {data.train.num_classes} others"
            f" ({', '.join(data.train.class_names[:3])}, …): give the data that it was trained on"
        )
    return predict(model, data.test, config, fabric, progress=data.name)


class ClassificationTask(Task):
    """Top-1 and top-5 accuracy of the plain logits, and the predictions of the last evaluation, for the pictures."""

    data: ClassificationData
    held_out = "held-out images"
    how_to_hold_out = "--val-split SHARE"

    def __init__(self, config: TrainConfig, fabric: Fabric, data: ClassificationData, method: Method):
        super().__init__(config, fabric, data, method)
        self.records = {"eval": data.test}
        if data.val is not None:
            self.records["val"] = data.val
        if config.evaluation.train_metrics:
            self.records["train_set"] = data.train
        self.predicted: Tensor | None = None

    def metric_names(self) -> list[str]:
        """top_1 and top_5."""
        return list(CLASSIFICATION_METRICS)

    def describe(self) -> tuple[str, str]:
        """The splits' sizes; the network."""
        data = self.data
        held_out = "" if data.val is None else f"; validation {len(data.val)} images"
        return (
            f"{data.name}: {data.train.num_classes} classes, training {len(data.train)} images;"
            f" test {len(data.test)} images{held_out}",
            self.method.model.architecture.describe(),
        )

    def training_set(self) -> ImageDataset:
        """Random crops, of the image with a border or of random scale; with ``--augment 0`` images as evaluated."""
        config, padding = self.config.data, self.config.classification.crop_padding
        if padding is None or not config.augment:
            return training_crops(self.config, self.data.train, self.method)
        how = {"crop_size": config.crop_size, "padding": padding, "flip": config.flip, "pillow": config.pillow}
        return ImageDataset(self.data.train, padded_crop_transform(self.method.model.input_spec.normalize, **how))

    @property
    def splits(self) -> tuple[str, ...]:
        """The test split, the held-out images if there are any, the training images if asked for."""
        return tuple(self.records)

    def evaluate(self, prefix: str, model: nn.Module) -> dict[str, float]:
        """The accuracies of one split."""
        records = self.records[prefix]
        predicted = predict(model, records, self.config, self.fabric, progress=f"{prefix} images")
        if prefix == "eval":
            self.predicted = predicted
        return top_k_accuracy(predicted, torch.from_numpy(records.labels))

    @property
    def is_evaluated(self) -> bool:
        """Whether predictions of the test split are at hand."""
        return self.predicted is not None

    def write(self, folder: Path) -> dict[str, Path]:
        """``classes.csv``, of the last evaluation; which classes are right least often is said."""
        if self.predicted is None:
            return {}
        test, path = self.data.test, folder / CLASSES_FILE
        report = ClassReport.of(test.labels, self.predicted[:, 0].numpy(), test.class_names)
        write_text_atomically(report.to_csv(), path)
        if told := report.summary():
            say("\nof the last evaluation: " + "\n".join(told))
        return {"classes": path}

    def draw(self, folder: Path) -> dict[str, Path]:
        """Curves, confusion of the classes, and the images that are mistaken."""
        names = {"curves": "curves.png", "confusion": "confusion.png", "confused pairs": "confused_pairs.png"}
        pictures = {name: folder / file for name, file in names.items()}
        chosen = {"select_metric": self.selection.metric, "select_split": self.selection.split}
        plot_curves(folder / METRICS_FILE, pictures["curves"], **chosen)
        assert self.predicted is not None  # see is_evaluated
        test, predicted = self.data.test, self.predicted[:, 0].numpy()
        plot_confusion(test.labels, predicted, test.class_names, pictures["confusion"])
        plot_confused_pairs(test, predicted, self.data.train, pictures["confused pairs"])
        return pictures
