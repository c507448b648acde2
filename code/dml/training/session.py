"""Puts a training together around a method: loaders, evaluators, record, trainer; then its tables and pictures."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from lightning_fabric import Fabric
from torch import nn

from dml.config import TrainConfig
from dml.data import RetrievalData
from dml.data.images import ImageDataset
from dml.data.loader import PlannedBatches, train_loader
from dml.data.transforms import eval_transform, train_transform
from dml.evaluation.evaluator import METRICS, Evaluation, Evaluator
from dml.methods.base import Method
from dml.recipes import DATASET_DEFAULTS, RECIPES
from dml.tracking import Tracker, open_wandb, say, table
from dml.training.embedding import create_evaluator
from dml.training.folder import create_run_folder, lock_run_folder, reopen_run_folder
from dml.training.pictures import draw_run
from dml.training.proxies import ProxyPages, start_at_class_means
from dml.training.results import result_rows
from dml.training.trainer import Trainer


def train(config: TrainConfig, fabric: Fabric, data: RetrievalData, method: Method, *, resume: Path | None) -> Path:
    """Train ``method`` on ``data`` from the beginning, or continue the run in the folder ``resume``.

    Returns:
        the run folder.

    Raises:
        ValueError: settings that do not fit each other or the data; before the first step.
        Interrupted: Ctrl-C or SIGTERM; the run can be continued.
    """
    evaluators = _Evaluators(config, fabric, data, method)
    batches = PlannedBatches(seed=config.run.seed, rank=fabric.global_rank, world_size=fabric.world_size)
    batches.set_epoch(method.epoch_batches(0), 0)  # refuses what the processes cannot share, before a folder is made
    folder = create_run_folder(config, fabric) if resume is None else reopen_run_folder(resume, fabric)
    lock = lock_run_folder(folder) if fabric.is_global_zero else None
    if fabric.is_global_zero:
        _introduce(config, fabric, data, folder)
    if config.run.compile:
        method.model.compile()
    tracker = _tracker(config, fabric, folder)
    hooks = {}
    if config.run.visualize:
        hooks["after_epoch"] = ProxyPages(config, fabric, data, method, tracker=tracker, folder=folder)
    trainer = Trainer(
        fabric=fabric,
        method=method,
        loader=train_loader(
            _training_set(config, data, method),
            batches,
            workers=config.data.workers,
            pin_memory=fabric.device.type == "cuda",
        ),
        batches=batches,
        evaluate=evaluators.functions(),
        select="val" if selects_on_val(config, data) else "eval",
        optim=config.optim,
        evaluation=config.evaluation,
        tracker=tracker,
        folder=folder,
        description={
            "config": dataclasses.asdict(config),
            "architecture": dataclasses.asdict(method.model.architecture),
        },
        keep_best=config.run.save,
        resume_hint=f"python {sys.argv[0]} --resume-run {folder}",
        **hooks,
    )
    finished = False
    try:
        if config.optim.init_type == "center" and not (folder / "last.pt").exists():
            start_at_class_means(config, fabric, data, method)
        if resume is not None:
            trainer.resume(folder / "last.pt")
        trainer.fit()
        if config.run.pictures and evaluators.last is None:  # a finished run was taken up again
            evaluators.evaluate("eval", method.model)
        if fabric.is_global_zero:
            _conclude(config, trainer, evaluators, data)
        finished = True
    finally:
        trainer.tracker.close(failed=not finished)
        if lock is not None:
            lock.close()
    return folder


def _training_set(config: TrainConfig, data: RetrievalData, method: Method) -> ImageDataset:
    spec = method.model.input_spec
    crop_size = config.data.crop_size or spec.crop_size
    if config.data.augment:
        scale = (config.data.crop_scale, 1.0)
        transform = train_transform(spec.normalize, crop_size=crop_size, crop_scale=scale, flip=config.data.flip)
    else:
        transform = eval_transform(spec.normalize, resize=config.data.resize, crop_size=crop_size)
    return ImageDataset(data.train, transform, num_views=method.num_views)


class _Evaluators:
    """One evaluator per split, and what the last evaluation of the test split saw, for the pictures."""

    def __init__(self, config: TrainConfig, fabric: Fabric, data: RetrievalData, method: Method):
        _check_selection(config, data)
        self.fabric = fabric
        self.last: Evaluation | None = None
        options = {
            "fabric": fabric,
            "input_spec": method.model.input_spec,
            "resize": config.data.resize,
            "crop_size": config.data.crop_size,
            "batch_size": config.data.batch_size,
            "workers": config.data.workers,
            "recall_ks": data.recall_ks,
            "metrics": config.evaluation.metrics,
            "distance": config.evaluation.eval_distance,
            "seed": config.run.seed,
        }
        self.splits: dict[str, Evaluator] = {"eval": create_evaluator(data.query, data.gallery, **options)}
        if data.val is not None:
            self.splits["val"] = create_evaluator(data.val, None, **options)

    def functions(self) -> dict:
        """Prefix → function of the network, as the trainer wants them."""
        return {prefix: lambda model, p=prefix: self.evaluate(p, model) for prefix in self.splits}

    def evaluate(self, prefix: str, model: nn.Module) -> dict[str, float]:
        """The metrics of one split."""
        evaluation = self.splits[prefix].evaluate(model, self.fabric.device, progress=f"{prefix} images")
        if prefix == "eval":
            self.last = evaluation
        return evaluation.metrics


def selects_on_val(config: TrainConfig, data: RetrievalData) -> bool:
    """Whether held-out classes choose the best epoch: by default where there are any.

    Raises:
        ValueError: ``--select val`` without held-out classes.
    """
    if config.evaluation.select == "val" and data.val is None:
        raise ValueError("--select val needs held-out classes: add --val-split SHARE or --fold i/k")
    return data.val is not None and config.evaluation.select != "test"


def _check_selection(config: TrainConfig, data: RetrievalData) -> None:
    """Refuse a ``--select-metric`` that no evaluation will compute, on a split that is not there. ValueError."""
    selects_on_val(config, data)
    metrics = [METRICS.canonical(name) for name in config.evaluation.metrics]
    computed = [name for name in metrics if name != "recall"]
    if "recall" in metrics:
        computed = [f"recall_at_{k}" for k in data.recall_ks] + computed
    if config.evaluation.select_metric not in computed:
        raise ValueError(
            f"--select-metric {config.evaluation.select_metric} is not among the metrics of this run:"
            f" {', '.join(computed)}"
        )


def _tracker(config: TrainConfig, fabric: Fabric, folder: Path) -> Tracker:
    backend = None
    if fabric.is_global_zero:
        backend = open_wandb(
            config.run.wandb,
            folder=folder,
            project=config.run.project,
            group=config.run.group or f"{config.data.dataset}_{config.loss.loss}",
            name=folder.name,
            config=dataclasses.asdict(config),
        )
    return Tracker(folder, backend)


def _introduce(config: TrainConfig, fabric: Fabric, data: RetrievalData, folder: Path) -> None:
    """The first lines of a run: whose defaults, which images, which device, which choice of the best epoch."""
    gallery = "" if data.gallery is None else f" in a gallery of {len(data.gallery)}"
    held_out = "" if data.val is None else f"; validation {data.val.num_classes} classes, {len(data.val)} images"
    processes = "" if fabric.world_size == 1 else f", {fabric.world_size} processes"
    chooses = "held-out classes" if selects_on_val(config, data) else "the test split, as published (optimistic)"
    whose = RECIPES[config.recipe].title + (f" and {data.name}" if data.name in DATASET_DEFAULTS else "")
    say(f"{config.loss.loss}: {whose} defaults where no flag says otherwise")
    say(
        f"{data.name}: training {data.train.num_classes} classes, {len(data.train)} images;"
        f" test {data.query.num_classes} classes, {len(data.query)} images{gallery}{held_out}"
    )
    say(f"{config.model.model}, {config.model.embedding_size}-d, on {fabric.device}{processes}; {config.run.precision}")
    say(f"best epoch by {config.evaluation.select_metric} on {chooses}")
    say(f"run folder: {folder}")


def _conclude(config: TrainConfig, trainer: Trainer, evaluators: _Evaluators, data: RetrievalData) -> None:
    """The table of the run, and its pictures with their paths."""
    say("\n" + table(result_rows(trainer.state)))
    if not config.run.pictures:
        return
    pictures = draw_run(
        trainer.folder, evaluators.last, data, distance=config.evaluation.eval_distance, seed=config.run.seed
    )
    trainer.tracker.log_pictures(pictures)
    say("\n" + "\n".join(f"{name}: {path}" for name, path in pictures.items()))
