"""Puts a training together around a method: loaders, evaluators, record, trainer; then its tables and pictures."""

from __future__ import annotations

import shlex
import sys
import warnings
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from dml.config import TrainConfig
from dml.config.train import own_name
from dml.data import EveryImageData
from dml.data.findings import warn_of_findings
from dml.data.images import ImageDataset
from dml.data.loader import PlannedBatches, train_loader
from dml.data.run_split import warn_of_trained_classes
from dml.data.screening import LEFT_OUT_FILE, OWN, left_out_table
from dml.evaluation.baselines import UNTRAINED
from dml.methods.base import Method
from dml.models.memory_format import CONTIGUOUS
from dml.recipes import DATASET_DEFAULTS, RECIPES
from dml.tensorboard import TensorBoardBackend, require_tensorboard
from dml.tracking import Tracker, say
from dml.training.accumulation import accumulation_told, check_pieces
from dml.training.advice import BaselineWarning, below_baselines, rising_loss
from dml.training.compiling import compile_networks
from dml.training.environment import first_command, record_session
from dml.training.everything import EveryImageTask
from dml.training.faults import keeping_traceback
from dml.training.finetuning import finetuning_told
from dml.training.launcher import find_launcher
from dml.training.layout import avoid_broken_kernels, bfloat16_told, with_memory_format
from dml.training.normalisation import require_statistics
from dml.training.proxies import ProxyPages, start_at_class_means
from dml.training.retrieval import RetrievalTask
from dml.training.run_folder import create_run_folder, lock_run_folder, reopen_run_folder
from dml.training.selection import results_table
from dml.training.split_file import keep_split, with_digest
from dml.training.task import Task, TrainingData
from dml.training.trainer import Trainer
from dml.training.use import how_to_train_on_all, what_is_tested
from dml.wandb_backend import WANDB_PROJECT, open_wandb
from dml.writing import write_text_atomically

NO_IMAGES = (
    "settings, metrics, curves and the confusion of the classes, by their names; pictures that show your images stay"
    " here (--wandb-pictures 1 sends them)"
)
IMAGES_TOO = "pictures that show your images too, as --wandb-pictures asks"


def train(
    config: TrainConfig,
    fabric: Fabric,
    data: TrainingData,
    method: Method,
    *,
    resume: Path | None,
    kind: type[Task] | None = None,
) -> Path:
    """Train ``method`` on ``data`` from the beginning, or continue the run in the folder ``resume``.

    Args:
        kind: what the network is judged by, and ``data`` is of the class that it takes; None: retrieval, or nothing
            where every image trains.

    Returns:
        the run folder.

    Raises:
        UserError: settings that do not fit each other or the data; before the first step.
        Interrupted: Ctrl-C or SIGTERM; the run can be continued.
    """
    # What the images were found to be is kept with the run: it, and what is made of it, reads others alike.
    config = replace(config, data=replace(config.data, bits=data.train.bits))
    config = with_memory_format(config, method, fabric.device)
    avoid_broken_kernels(method, fabric.device)
    kind = kind or (EveryImageTask if isinstance(data, EveryImageData) else RetrievalTask)
    task = kind(config, fabric, data, method)
    if task.splits:  # known with the data: a folder may bring held-out images
        chosen = "test" if task.selection.on_test_split else "val"
        every = config.evaluation.eval_test_every
        if every is None and (chosen == "test" or config.evaluation.select is None):
            every = 1  # unset: once at the end only where --select val is typed
        config = replace(config, evaluation=replace(config.evaluation, select=chosen, eval_test_every=every))
        task.config = config
    batches = PlannedBatches(seed=config.run.seed, rank=fabric.global_rank, world_size=fabric.world_size)
    if config.finetuning.weight_ema is not None:
        method.keep_average(config.finetuning.weight_ema)
    images = method.images_per_batch()
    batches.check_share(images)  # before a folder is made
    if config.run.tracker is not None:
        require_tensorboard()
    side = config.data.crop_size or method.model.input_spec.crop_size
    rows, method.pieces = images * method.num_views // fabric.world_size, config.run.accumulate
    check_pieces(method.pieces, rows)
    require_statistics(method.model, rows=rows // method.pieces, side=side)
    folder = create_run_folder(config, fabric) if resume is None else reopen_run_folder(config, resume, fabric)
    lock = lock_run_folder(folder) if fabric.is_global_zero else None
    resume_hint = shlex.join([*find_launcher().command, entry_point(), "--resume-run", str(folder)])
    try:
        with keeping_traceback(folder, process=fabric.global_rank, resume_hint=resume_hint):
            _train_in(folder, config, fabric, task, batches, is_new=resume is None, resume_hint=resume_hint)
    finally:
        if lock is not None:
            lock.close()
    return folder


def entry_point() -> str:
    """The program that runs, by the name that we call it by where it lies beside its published one."""
    called = Path(sys.argv[0])
    own = called.with_name(own_name(called.name))
    return str(own) if own != called and own.is_file() else sys.argv[0]


def _train_in(
    folder: Path,
    config: TrainConfig,
    fabric: Fabric,
    task: Task,
    batches: PlannedBatches,
    *,
    is_new: bool,
    resume_hint: str,
) -> None:
    """Train in the folder of a run, and leave there what the run is to leave."""
    split = keep_split(task.data, config.data.data_dir, folder, fabric)
    if fabric.is_global_zero:
        record_session(folder, device=fabric.device, processes=fabric.world_size)
        if task.data.left_out:
            write_text_atomically(left_out_table(task.data.left_out), folder / LEFT_OUT_FILE)
        task.keep_records(folder)
        _introduce(config, fabric, task, folder)
    if config.run.compile:
        compile_networks(task.method)
    trainer = _trainer(folder, config, fabric, task, batches, split=split, resume_hint=resume_hint)
    finished = False
    try:
        if config.optim.init_type == "center" and not (folder / "last.pt").exists():
            with trainer.keeper.stopping_in_order(saving=False), trainer.guard.immediately():
                start_at_class_means(config, fabric, task.training_set(), task.method)
        if not is_new:
            trainer.resume(folder / "last.pt")
        trainer.fit()
        with trainer.keeper.stopping_in_order():
            trainer.judge_best()
        with trainer.keeper.stopping_in_order(), trainer.guard.immediately():
            # A finished run was taken up again, or nothing is evaluated on the way.
            looks = config.evaluation.eval_test_every != 0
            if not task.is_evaluated and ((config.run.pictures and looks) or not task.splits):
                found = task.evaluate("eval", task.method.judged)
                if not task.splits and found and fabric.is_global_zero:  # what needs no labels
                    before = trainer.state.baselines.get(UNTRAINED, {})
                    found |= {f"{UNTRAINED}_{name}": value for name, value in before.items()}
                    trainer.tracker.log(trainer.state.epoch, "views", found)
            if fabric.is_global_zero:
                _conclude(config, trainer, task)
        finished = True
    finally:
        trainer.tracker.close(failed=not finished)


def _trainer(
    folder: Path,
    config: TrainConfig,
    fabric: Fabric,
    task: Task,
    batches: PlannedBatches,
    *,
    split: dict[str, Any] | None,
    resume_hint: str,
) -> Trainer:
    tracker = _tracker(config, fabric, folder)
    hooks = {}
    if config.run.visualize:
        hooks["after_epoch"] = ProxyPages(config, fabric, task.data, task.method, tracker=tracker, folder=folder)
    images = task.training_set()
    return Trainer(
        fabric=fabric,
        method=task.method,
        loader=train_loader(
            images,
            batches,
            workers=config.data.workers if isinstance(images, ImageDataset) else 0,  # what is in memory needs none
            device=fabric.device,
        ),
        batches=batches,
        evaluate={prefix: partial(task.evaluate, prefix) for prefix in task.splits},
        selection=task.selection,
        answers=task.answers(),
        baselines=task.baselines,
        optim=config.optim,
        evaluation=config.evaluation,
        tracker=tracker,
        folder=folder,
        description={
            "config": config.record(),
            "architecture": asdict(task.method.model.architecture),
            "class_names": task.class_names,
        }
        | ({} if split is None else {"split": split}),
        keep_best=config.run.save,
        resume_hint=resume_hint,
        mend_hint=_mend_hint(resume_hint) if config.data.dataset == OWN else None,
        **hooks,
    )


def _mend_hint(resume_hint: str) -> str:
    """How to go on after one of a user's own images could not be read."""
    return (
        "Mend the file that is named below, or remove it and go on without it; either way continue with:\n"
        f"  {resume_hint} --accept-changes 1"
    )


def _tracker(config: TrainConfig, fabric: Fabric, folder: Path) -> Tracker:
    is_own = config.data.dataset == OWN
    backend, board, sends_images = None, None, config.run.wandb_pictures or not is_own
    if fabric.is_global_zero:
        board = None if config.run.tracker is None else TensorBoardBackend(folder)
        backend = open_wandb(
            config.run.wandb,
            folder=folder,
            typed={
                "project": config.run.project,
                "group": config.run.group,
                "name": folder.name if config.run.run_name else None,
            },
            otherwise={
                "project": WANDB_PROJECT,
                "group": f"{config.data.name}_{config.method_name}",
                "name": folder.name,
                "job_type": config.program.removesuffix(".py"),
            },
            config=with_digest(config.record(), config.data.name, folder),
            tags=(config.data.name, config.model.model, config.method_name),
        )
    if backend is not None and is_own:
        say(f"W&B is given {IMAGES_TOO if sends_images else NO_IMAGES}")
    return Tracker(folder, backend, board, sends_images=sends_images)


def _introduce(config: TrainConfig, fabric: Fabric, task: Task, folder: Path) -> None:
    """The first lines of a run: whose defaults, which images, which device, which choice of the best epoch."""
    name = task.data.name
    processes = "" if fabric.world_size == 1 else f", {fabric.world_size} processes"
    chosen = task.selection
    chooses = "the test split, as published (optimistic)" if chosen.on_test_split else chosen.held_out
    whose = RECIPES[config.recipe].title + (f" and {name}" if name in DATASET_DEFAULTS else "")
    say(f"{config.loss.loss}: {whose} defaults where no flag says otherwise (--recipe {config.recipe})")
    images, network = task.describe()
    say(images)
    if isinstance(task, RetrievalTask) and (told := what_is_tested(task.data)):
        say(told)
    if config.data.dataset == "folder":  # of named data sets the protocol is fixed
        warn_of_findings(task.data, copies_answer=config.evaluation.keep_copies)
    layout = "" if config.run.memory_format == CONTIGUOUS else f", {config.run.memory_format}"
    say(f"{network}, on {fabric.device}{processes}; {config.run.precision}{layout}")
    rows = task.method.images_per_batch() * task.method.num_views // fabric.world_size
    told = finetuning_told(config, task.method) + accumulation_told(task.method, rows)
    for line in told + bfloat16_told(config, task.method, fabric.device):
        say(line)
    if task.data.left_out:
        say(f"left out: {len(task.data.left_out):,} images that cannot be read, listed in {folder / LEFT_OUT_FILE}")
    start = task.method.model.started_from
    if start is not None:
        say(start.told)
        warn_of_trained_classes(task.data, "the network that this run starts from", start.split, start.settings)
    if task.splits:
        kept = "" if config.run.save else "; it is not kept (--save 0)"
        say(f"best epoch by {chosen.by} on {chooses}{kept}")
    say(f"run folder: {folder}")


def _splits_to_show(trainer: Trainer) -> dict[str, None]:
    """Those whose figures end a run: the test split, and what chose the epoch where that was looked at less often."""
    shows_both = trainer.evaluation.eval_test_every != 1 and not trainer.selection.on_test_split
    return dict.fromkeys(["val", "eval"] if shows_both else ["eval"])


def _conclude(config: TrainConfig, trainer: Trainer, task: Task) -> None:
    """The table of the run, what it leaves behind, and its pictures, with their paths."""
    if task.splits:
        tables = [results_table(trainer.state, trainer.answers, split) for split in _splits_to_show(trainer)]
        say("\n" + "\n\n".join(filter(None, tables)))
        if told := below_baselines(config, trainer.state, trainer.selection.metric):
            warnings.warn(told, BaselineWarning)
    for line in task.closing(trainer.state):
        say(line)
    if config.self_taught is not None and (told := rising_loss(config, trainer.folder)):
        warnings.warn(told, BaselineWarning)
    files = task.write(trainer.folder)
    if config.run.pictures:
        pictures = task.draw(trainer.folder)
        trainer.tracker.log_pictures(pictures)
        files |= pictures
    if files:
        say("\n" + "\n".join(f"{name}: {path}" for name, path in files.items()))
    if isinstance(task, RetrievalTask) and task.data.is_own:
        say("\n" + how_to_train_on_all(config, first_command(trainer.folder), best_epoch=trainer.state.best_epoch))
