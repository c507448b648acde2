"""Training for retrieval: embeddings, judged by the neighbours that images of the test classes find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from dml.config import TrainConfig
from dml.data import ImageRecords, KnownClassesData, RetrievalData
from dml.data.copies import same_image_in
from dml.data.images import ImageDataset
from dml.data.transforms import eval_transform, train_transform
from dml.evaluation.answers import Answers
from dml.evaluation.baselines import FEATURES, Judge, to_beat
from dml.evaluation.embedding import create_evaluator, embed_records
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.glances import Glances, look_at
from dml.evaluation.metrics import SPECTRUM_KEY, metric_keys
from dml.evaluation.pictures import draw_run
from dml.evaluation.series import series_in, with_distinct_recall
from dml.methods.base import Method
from dml.methods.length import has_weights
from dml.models.extract import features_of
from dml.positives import ImageIds
from dml.structures import Batch
from dml.tracking import say
from dml.training.cached import CachedFeatures, RememberedBatches, cache_training_set, seeds_of_views
from dml.training.feature_store import FeatureStore
from dml.training.label_noise import keep_label_noise
from dml.training.task import Task


class RetrievalTask(Task):
    """One evaluator per split, and what the last evaluation of the test split saw, for the pictures.

    Training images are judged by their own labels, also those that train with a wrong one.
    """

    data: RetrievalData

    def __init__(self, config: TrainConfig, fabric: Fabric, data: RetrievalData, method: Method):
        if config.data.val_by_images:
            self.held_out = "held-out images of the training classes"
        super().__init__(config, fabric, data, method)
        self.last: Evaluation | None = None
        options = {
            "fabric": fabric,
            "input_spec": method.model.input_spec,
            "resize": config.data.resize,
            "crop_size": config.data.crop_size,
            "pillow": config.data.pillow,
            "batch_size": config.embedding.batch_size,
            "workers": config.data.workers,
            "recall_ks": data.recall_ks,
            "metrics": config.evaluation.metrics,
            "distance": config.evaluation.eval_distance,
            "seed": config.run.seed,
        }
        self.searched = {"eval": data.searched}
        if data.val is not None:
            self.searched["val"] = data.val_searched
        if config.evaluation.train_metrics:
            self.searched["train_set"] = ("train",)
        self.evaluators = {
            prefix: create_evaluator(
                *self._images(prefix),
                image_numbers=self._same_images(splits),
                ties_count_for_query=data.ties_count_for_query and len(splits) > 1,
                **options,
            )
            for prefix, splits in self.searched.items()
        }
        self._looks: dict[str, Glances] = {}
        self._collapse_is_said = False
        self._features: CachedFeatures | None = None
        if config.finetuning.cache_features:
            for prefix, evaluator in self.evaluators.items():
                query, gallery = self._images(prefix)
                evaluator.query = self._remembering(evaluator.query, query)
                evaluator.gallery = None if gallery is None else self._remembering(evaluator.gallery, gallery)

    def _remembering(self, batches: Iterable[Batch], records: ImageRecords) -> Iterable[Batch]:
        """The same batches, of features once these are known."""
        if self._store is None:
            return RememberedBatches(batches, self.method.model, self.fabric.device, self.fabric.autocast)
        return self._store.batches(records, within=self._set_of(records), size=self.config.data.batch_size)

    @cached_property
    def _store(self) -> FeatureStore | None:
        """Of ``--feature-cache``."""
        folder, config = self.config.finetuning.feature_cache, self.config
        if folder is None:
            return None
        model = self.fabric.to_device(self.method.model)
        return FeatureStore(Path(folder), model, config.data, self.fabric, precision=config.run.precision)

    def _set_of(self, records: ImageRecords) -> list[ImageRecords]:
        """The parts of the set that ``records`` are one of: what trains and what is held out of it, or only itself."""
        learnt = [part for part in (self.data.train, self.data.val) if part is not None]
        return learnt if any(part.paths == records.paths for part in learnt) else [records]

    def _same_images(self, splits: Sequence[str]) -> list[np.ndarray] | None:
        """Of each of ``splits`` (N,) numbers that the same images share; None: every image is another."""
        if not self.data.is_own or self.config.evaluation.keep_copies:
            return None
        numbers = same_image_in(self.data)
        return [numbers[split] for split in splits]

    def _images(self, prefix: str) -> tuple[ImageRecords, ImageRecords | None]:
        """What is searched with, and what in; None: among itself."""
        query, *gallery = (self.data.parts[split] for split in self.searched[prefix])
        return query, *(gallery or [None])

    def metric_names(self) -> list[str]:
        """Those of ``--metrics``, recall once for every k; not the spectrum, which is a list."""
        keys = metric_keys(self.config.evaluation.metrics, self.data.recall_ks)
        return [key for key in keys if key != SPECTRUM_KEY]

    def describe(self) -> tuple[str, str]:
        """The splits' sizes; backbone and embedding size."""
        config, data = self.config, self.data
        gallery = "" if data.gallery is None else f" in a gallery of {len(data.gallery)}"
        if isinstance(data, KnownClassesData):
            gallery = " of them, searched in the training images"
        noise = data.label_noise
        wrong = "" if noise is None else f", {len(noise.indices)} of them with a wrong label"
        held_out = "" if data.val is None else f"; validation {data.val.num_classes} classes, {len(data.val)} images"
        return (
            f"{data.name}: training {data.train.num_classes} classes, {len(data.train)} images{wrong};"
            f" test {data.query.num_classes} classes, {len(data.query)} images{gallery}{held_out}",
            f"{config.model.model}, {config.model.embedding_size}-d",
        )

    def keep_records(self, folder: Path) -> None:
        """Which labels are wrong, where that was asked for."""
        if self.data.label_noise is not None:
            keep_label_noise(self.data.label_noise, folder)

    def training_set(self) -> ImageDataset | CachedFeatures:
        """See ``training_crops``; with ``--cache-features`` their features, which the first call computes."""
        asked, data = self.config.finetuning, self.config.data
        if not asked.cache_features:
            return training_crops(self.config, self.data.train, self.method)
        if self._features is None and self._store is not None and asked.cache_views is None:
            train = self.data.train
            self._features = CachedFeatures([self._store.rows(train, within=self._set_of(train))], train)
        if self._features is None:
            augment = asked.cache_views is not None and data.augment
            config = replace(self.config, data=replace(data, augment=augment))
            self._features = cache_training_set(
                training_crops(config, self.data.train, self.method),
                self.fabric.to_device(self.method.model),
                self.fabric,
                seeds=seeds_of_views(self.config.run.seed, asked.cache_views),
                batch_size=data.batch_size,
                workers=data.workers,
            )
        return self._features

    @property
    def splits(self) -> tuple[str, ...]:
        """The test split, the held-out classes if there are any, the training images if asked for."""
        return tuple(self.evaluators)

    def answers(self) -> dict[str, Answers]:
        """Of every split, from its labels; of a user's own images from a look at them, too."""
        found = {}
        for prefix in self.searched:
            labels = [None if records is None else torch.from_numpy(records.labels) for records in self._images(prefix)]
            found[prefix] = Answers.count(*labels, self.evaluators[prefix].image_ids, self.series.get(prefix))
        return found

    @cached_property
    def series(self) -> dict[str, ImageIds]:
        """Prefix → which images look alike, see ``dml.evaluation.series``; empty but of a user's own images.

        The first process looks, for all.
        """
        found = {}
        if self.data.is_own and self.fabric.is_global_zero:
            for prefix, splits in self.searched.items():
                prints = tuple(self._glances(split).prints for split in splits)
                labels = tuple(self.data.parts[split].labels for split in splits)
                found[prefix] = series_in(prints, labels, self._same_images(splits))
        return self.fabric.broadcast(found)

    def _glances(self, split: str) -> Glances:
        """A look at each image of ``split``, once."""
        if split not in self._looks:
            self._looks[split] = look_at(self.data.parts[split])
        return self._looks[split]

    @property
    def baselines(self) -> Callable[[nn.Module], dict[str, dict[str, float]]] | None:
        """What pixels, colours and, with weights to start from, the backbone's features find in the test split."""
        asked = self.config.evaluation
        return self._judge_baselines if asked.baselines and asked.eval_test_every != 0 else None

    def _judge_baselines(self, model: nn.Module) -> dict[str, dict[str, float]]:
        """See ``baselines``. Only the first process, which tells people, learns of all."""
        judge = Judge(self.data, self.evaluators["eval"], self.series.get("eval"), self.fabric.device)
        features = []
        if has_weights(self.config):
            how = {"read": features_of, "progress": "pretrained features"}
            features = [
                embed_records(model, self.data.parts[split], self.config.embedding, self.fabric, **how)
                for split in self.data.searched
            ]
        if not self.fabric.is_global_zero:
            return {}
        found = judge.of_images([self._glances(split) for split in self.data.searched])
        self._looks.clear()
        if features:
            found[FEATURES] = judge.of_rows(features)
        say(to_beat(found))
        return found

    def evaluate(self, prefix: str, model: nn.Module) -> dict[str, float]:
        """Retrieval metrics of one split. That the network has collapsed is said, once a run."""
        evaluation = self.evaluators[prefix].evaluate(model, self.fabric.device, progress=f"{prefix} images")
        if self.series:
            distance = self.config.evaluation.eval_distance
            evaluation = with_distinct_recall(evaluation, self.series[prefix], distance=distance)
        if prefix == "eval":
            self.last = evaluation
        if evaluation.collapse and not self._collapse_is_said and self.fabric.is_global_zero:
            say(f"{prefix} images: {evaluation.collapse}")
            self._collapse_is_said = True
        return evaluation.metrics

    @property
    def is_evaluated(self) -> bool:
        """Whether embeddings of the test split are at hand."""
        return self.last is not None

    def draw(self, folder: Path) -> dict[str, Path]:
        """Curves, retrieval gallery, t-SNE page."""
        config = self.config
        how = {"distance": config.evaluation.eval_distance, "seed": config.run.seed}
        chosen = {"select_metric": self.selection.metric, "select_split": self.selection.split}
        return draw_run(folder, self.last, self.data, **chosen, **how)


def training_crops(config: TrainConfig, records: ImageRecords, method: Method) -> ImageDataset:
    """Random crops of ``records``, or with ``--augment 0`` images as they are evaluated."""
    data, spec = config.data, method.model.input_spec
    how = {"crop_size": data.crop_size, "resize": data.resize, "pillow": data.pillow}
    how["interpolation"] = spec.interpolation
    if data.augment:
        transform = train_transform(
            spec.normalize,
            augmentation=data.augmentation,
            crop_scale=(data.crop_scale, 1.0),
            flip=data.flip,
            **how,
        )
    else:
        transform = eval_transform(spec.normalize, **how)
    return ImageDataset(records, transform, num_views=method.num_views)
