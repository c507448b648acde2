"""What a run is told: frozen dataclasses, one a concern, whose fields are the flags of the entry points.

A field's name is its flag's (``batch_size`` is ``--batch-size`` and ``--batch_size``) and is unique over all
sections; ``option`` keeps the help line and the historic spellings beside it. Checks of single values and of
values against each other happen at construction, before any data is read.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class ConfigWarning(UserWarning):
    """A setting that has no effect or is likely a slip."""


def option(default: Any, help: str, *, aliases: tuple[str, ...] = (), choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field that is also a flag.

    Args:
        default: used when neither the user, nor the data set, nor the recipe says otherwise.
        help: one line.
        aliases: historic flag names, without dashes, beside the field's own.
        choices: the valid values, where they are few and fixed.
    """
    return field(default=default, metadata={"help": help, "aliases": aliases, "choices": choices})


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


class _Section:
    """Checks the ``choices`` of every field of a section."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value, choices = getattr(self, item.name), item.metadata.get("choices")
            if choices and value is not None and value not in choices:
                flag = item.name.replace("_", "-")
                raise ValueError(f"--{flag} {value!r} is not one of {', '.join(choices)}")


@dataclass(frozen=True)
class DataConfig(_Section):
    """The images and how they become batches."""

    dataset: str = option("cub", "data set: cub, cars, SOP, Inshop, glyphs or folder")
    data_dir: str = option(
        str(ROOT / "data"),
        "where the data sets are; for --dataset folder the images themselves or a CSV",
        aliases=("DATA_DIR", "source", "source_path"),
    )
    val_split: float | None = option(None, "share of the training classes held out for validation")
    fold: str | None = option(None, "i/k: hold out the i-th of k parts of the training classes")
    batch_size: int = option(150, "images per step, over all processes", aliases=("bs",))
    IPC: int | None = option(None, "images per class in a batch; unset: no balance", aliases=("images_per_class",))
    sampler: str | None = option(None, "random, class_balanced, balanced or power_balanced; unset: as published")
    p: float = option(0.2, "exponent of the class size in power-balanced sampling")
    workers: int = option(4, "data loading processes; 0 loads in the main one")
    resize: int = option(256, "shorter side of an evaluated image before its centre is cut out")
    crop_size: int | None = option(None, "side of the network's input; unset: the network's own (224)")
    crop_scale: float = option(0.08, "smallest share of the area that a random training crop takes")
    flip: bool = option(True, "mirror training images at random")
    augment: bool = option(True, "random crops in training; off: training images as they are evaluated")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.batch_size >= 1, f"--batch-size must be at least 1, got {self.batch_size}")
        _require(self.workers >= 0, f"--workers must be 0 or more, got {self.workers}")
        _require(0 < self.crop_scale <= 1, f"--crop-scale must lie in (0, 1], got {self.crop_scale}")
        _require(self.IPC is None or self.IPC >= 1, f"--IPC must be at least 1, got {self.IPC}")
        for name in ("resize", "crop_size"):
            side = getattr(self, name)
            _require(side is None or side >= 1, f"--{name.replace('_', '-')} must be at least 1, got {side}")
        _require(
            self.val_split is None or 0 < self.val_split < 1,
            f"--val-split is a share between 0 and 1, got {self.val_split}",
        )
        _require(self.val_split is None or self.fold is None, "--val-split and --fold exclude each other")
        self.fold_numbers()

    def fold_numbers(self) -> tuple[int, int] | None:
        """(i, k) of ``--fold i/k``, 1 ≤ i ≤ k; None without the flag. ValueError if it is no such thing."""
        if self.fold is None:
            return None
        parts = self.fold.split("/")
        _require(
            len(parts) == 2 and all(p.isdigit() for p in parts),
            f"--fold reads i/k, such as 1/5; got {self.fold}",
        )
        i, k = map(int, parts)
        _require(1 <= i <= k and k >= 2, f"--fold i/k needs 1 ≤ i ≤ k and k ≥ 2; got {self.fold}")
        return i, k


@dataclass(frozen=True)
class ModelConfig(_Section):
    """The embedding network."""

    model: str = option("bn_inception", "backbone", aliases=("arch",))
    embedding_size: int = option(512, "D, length of an embedding", aliases=("embed_dim",))
    pretrained: bool = option(True, "start from ImageNet weights")
    weights: str | None = option(None, "a local file of ImageNet weights, instead of a download")
    l2_norm: bool = option(True, "embeddings of unit length", aliases=("target_norm",))
    bn_freeze: bool = option(True, "keep the running statistics of batch normalisation fixed")
    pooling: str = option("avg_max", "global pooling: average, or average plus maximum", choices=("avg", "avg_max"))
    head_init: str = option(
        "kaiming", "initialisation of the embedding layer", choices=("kaiming", "orthogonal", "torch")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.embedding_size >= 1, f"--embedding-size must be at least 1, got {self.embedding_size}")


@dataclass(frozen=True)
class OptimConfig(_Section):
    """Optimiser, schedule and the length of the training."""

    epochs: int = option(60, "passes over the training set", aliases=("n_epochs", "epoch"))
    optimizer: str = option(
        "adamw", "optimiser", aliases=("optim",), choices=("sgd", "adam", "rmsprop", "adamw", "adamp")
    )
    lr: float = option(1e-4, "base learning rate")
    proxy_lr_scale: float | None = option(
        None, "learning rate of the proxies in multiples of --lr; unset: as published"
    )
    init_type: str = option(
        "normal",
        "how proxies start: Kaiming normal, Kaiming uniform, or at the class means of the untrained network",
        choices=("normal", "uniform", "center"),
    )
    weight_decay: float = option(1e-4, "weight decay", aliases=("decay",))
    adam_eps: float = option(1e-8, "added to the root of the second moment, for adam")
    nesterov: bool = option(True, "Nesterov momentum, for sgd")
    scheduler: str = option("step", "learning rate over time", choices=("step", "cosine", "exp", "cyclic", "constant"))
    lr_decay_step: int = option(10, "epochs between two decays of the step schedule")
    lr_decay_gamma: float = option(0.5, "factor of a decay of the step and exp schedules")
    warm: int = option(1, "first epochs in which only the new parameters (head, proxies) train")
    clip_value: float = option(10.0, "gradients are cut to ±this; 0: not at all")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.epochs >= 1, f"--epochs must be at least 1, got {self.epochs}")
        _require(self.lr > 0, f"--lr must be positive, got {self.lr}")
        _require(self.weight_decay >= 0, f"--weight-decay must be 0 or more, got {self.weight_decay}")
        _require(self.lr_decay_step >= 1, f"--lr-decay-step must be at least 1, got {self.lr_decay_step}")
        _require(self.lr_decay_gamma > 0, f"--lr-decay-gamma must be positive, got {self.lr_decay_gamma}")
        _require(self.warm >= 0, f"--warm must be 0 or more, got {self.warm}")
        _require(self.clip_value >= 0, f"--clip-value must be 0 or more, got {self.clip_value}")
        if self.warm >= self.epochs:
            warnings.warn(
                f"--warm {self.warm} covers all {self.epochs} epochs: the backbone never trains",
                ConfigWarning,
            )
        if self.scheduler == "step" and self.lr_decay_step >= self.epochs:
            warnings.warn(
                f"--lr-decay-step {self.lr_decay_step} lies beyond the {self.epochs} epochs: the rate never decays",
                ConfigWarning,
            )


@dataclass(frozen=True)
class EvalConfig(_Section):
    """How the embedding is judged and the best epoch chosen."""

    eval_distance: str = option("cosine", "what ranks neighbours", choices=("cosine", "euclidean"))
    metrics: tuple[str, ...] = option(
        ("recall", "map_at_r", "r_precision", "precision_at_1"), "metrics to compute; also nmi and f1"
    )
    eval_first: bool = option(False, "evaluate the untrained network before the first step")
    eval_every: int = option(1, "epochs between two evaluations; the last epoch is always evaluated")
    select: str | None = option(
        None,
        "choose the best epoch on the test split, as published, or on held-out classes; unset: val if there are any",
        choices=("test", "val"),
    )
    select_metric: str = option("recall_at_1", "metric that chooses the best epoch")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.eval_every >= 1, f"--eval-every must be at least 1, got {self.eval_every}")


@dataclass(frozen=True)
class RunConfig(_Section):
    """Where and how the run is executed and recorded."""

    seed: int = option(1, "of initialisation, sampling and augmentation")
    gpu_id: tuple[int, ...] = option((0,), "GPU number or numbers; -1: all visible ones", aliases=("gpu",))
    precision: str = option("32", "arithmetic of the network", choices=("32", "16-mixed", "bf16-mixed"))
    compile: bool = option(False, "compile the network with torch.compile")
    log_dir: str = option(str(ROOT / "logs"), "where run folders are made", aliases=("LOG_DIR", "save_path"))
    run_name: str | None = option(None, "name of the run folder; unset: made from the settings")
    remark: str = option("", "appended to the run's name")
    save: bool = option(True, "keep best.pt, the network of the best epoch")
    as_source: bool = option(
        False, "train a source network of embedding transfer: its defaults, and best.pt copied to pretrained_source"
    )
    pictures: bool = option(True, "draw curves, a retrieval gallery and a t-SNE page at the end")
    visualize: bool = option(
        False, "draw t-SNE pages of test embeddings and proxies at the start and every tenth epoch"
    )
    wandb: str = option(
        "auto",
        "Weights & Biases; auto: online only where credentials are there already",
        choices=("online", "offline", "disabled", "auto"),
    )
    project: str = option("deep-metric-learning", "W&B project")
    group: str | None = option(None, "W&B group; unset: data set and loss")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.seed < 2**32, f"--seed must lie in 0..2³²−1, got {self.seed}")
        name = self.run_name
        _require(
            name is None or (name not in ("", ".", "..") and "/" not in name),
            f"--run-name {name!r} is no name",
        )
        _require("/" not in self.remark, f"--remark {self.remark!r} becomes part of a folder's name: leave out the /")


def like(section: type, name: str, default: Any) -> Any:
    """The same flag as field ``name`` of ``section``, with another default."""
    original = next(item for item in dataclasses.fields(section) if item.name == name)
    return field(default=default, metadata=original.metadata)


@dataclass(frozen=True)
class EvaluateConfig(_Section):
    """Everything that ``code/evaluate.py`` needs to know; what is unset comes from the checkpoint."""

    ckpt: str = option("", "the checkpoint to evaluate, ours or published", aliases=("resume",))
    dataset: str | None = like(DataConfig, "dataset", None)
    data_dir: str | None = like(DataConfig, "data_dir", None)
    model: str | None = like(ModelConfig, "model", None)
    embedding_size: int | None = like(ModelConfig, "embedding_size", None)
    batch_size: int = like(DataConfig, "batch_size", 150)
    workers: int = like(DataConfig, "workers", 4)
    resize: int | None = like(DataConfig, "resize", None)
    crop_size: int | None = like(DataConfig, "crop_size", None)
    gpu_id: tuple[int, ...] = like(RunConfig, "gpu_id", (0,))
    precision: str = like(RunConfig, "precision", "32")
    eval_distance: str | None = like(EvalConfig, "eval_distance", None)
    metrics: tuple[str, ...] = like(EvalConfig, "metrics", EvalConfig.metrics)
    l2_norm: bool | None = option(None, "embeddings of unit length; unset: as trained", aliases=("target_norm",))
    seed: int = option(0, "of the clustering behind nmi and f1, and of the pictures' choices")
    json: str | None = option(None, "write the metrics to this file")
    save_embeddings: str | None = option(None, "write embeddings, labels and paths to this .npz file")
    gallery: str | None = option(None, "draw queries and their neighbours into this .png file")
    tsne: str | None = option(None, "draw a t-SNE page of the embeddings into this .html file")
    remark: str = option("", "accepted as published, of no effect")
    bn_freeze: bool | None = option(None, "accepted as published; evaluation always uses running statistics")
    source_norm: bool | None = option(None, "accepted as published, of no effect")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.ckpt != "", "--ckpt FILE (or --resume FILE) says which checkpoint to evaluate")
        for flag, file in (
            ("--json", self.json),
            ("--save-embeddings", self.save_embeddings),
            ("--gallery", self.gallery),
            ("--tsne", self.tsne),
        ):
            if file is not None:
                _require(Path(file).absolute().parent.is_dir(), f"{flag} {file}: there is no such folder")
        for flag, file, suffix in (("--gallery", self.gallery, ".png"), ("--tsne", self.tsne, ".html")):
            _require(file is None or file.endswith(suffix), f"{flag} {file}: the file's name must end in {suffix}")
        _require(self.batch_size >= 1, f"--batch-size must be at least 1, got {self.batch_size}")


@dataclass(frozen=True)
class LossConfig:
    """The loss and the options of it that differ from its defaults or were typed.

    Attributes:
        loss: the name as the user spelled it.
        memory: whether over a cross-batch memory.
        options: flag name → value.
    """

    loss: str
    memory: bool = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TransferConfig(_Section):
    """The frozen source network that a target network learns from."""

    source_ckpt: str = option("", "checkpoint of the source network, ours or published")
    source_model: str | None = option(None, "backbone that the checkpoint must hold; unset: whatever it holds")
    source_embedding_size: int | None = option(None, "embedding size that the checkpoint must hold; unset: any")
    source_norm: bool = option(True, "source embeddings of unit length")
    view: int = option(1, "random crops of each image in a batch", aliases=("num_views",))
    cache_source: bool = option(False, "embed the training images by the source once, before the first epoch")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.source_ckpt != "", "--source-ckpt FILE says which source network to learn from")
        _require(self.view >= 1, f"--view must be at least 1, got {self.view}")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training needs to know.

    Attributes:
        recipe: whose published defaults apply.
        transfer: the source network of ``code/train_target.py``; None in ``code/train.py``.
    """

    recipe: str
    data: DataConfig
    model: ModelConfig
    loss: LossConfig
    optim: OptimConfig
    evaluation: EvalConfig
    run: RunConfig
    transfer: TransferConfig | None = None

    def default_run_name(self) -> str:
        """What the run is, in a folder's name."""
        parts = [
            self.model.model,
            f"{self.model.embedding_size}d",
            self.loss.loss + "_memory" * self.loss.memory,
            f"lr{self.optim.lr:g}",
            f"bs{self.data.batch_size}",
            f"seed{self.run.seed}",
        ]
        return "_".join([*parts, self.run.remark] if self.run.remark else parts)

    def to_json(self) -> str:
        """For ``config.json`` in the run folder."""
        return json.dumps(dataclasses.asdict(self), indent=1)


SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "model": ModelConfig,
    "optim": OptimConfig,
    "evaluation": EvalConfig,
    "run": RunConfig,
}
TRANSFER_SECTIONS: dict[str, type] = SECTIONS | {"transfer": TransferConfig}


def section_values(section: type, values: dict[str, Any]) -> Any:
    """Build ``section`` from those of ``values`` that are its fields, its own defaults for the rest."""
    names = {item.name for item in dataclasses.fields(section)}
    return section(**{name: _tuples(value) for name, value in values.items() if name in names})


def train_config(recipe: str, loss: LossConfig, values: dict[str, Any], *, transfer: bool = False) -> TrainConfig:
    """A ``TrainConfig``, with its section ``transfer`` or not, from flat values, field name → value.

    Raises:
        ValueError: any that does not fit.
    """
    sections = TRANSFER_SECTIONS if transfer else SECTIONS
    built = {name: section_values(section, values) for name, section in sections.items()}
    return TrainConfig(recipe=recipe, loss=loss, **built)


def train_config_from_json(text: str) -> TrainConfig:
    """The inverse of ``TrainConfig.to_json``. ValueError on anything else, naming what is wrong."""
    try:
        stored = json.loads(text)
        transfer = stored.get("transfer") is not None
        sections = TRANSFER_SECTIONS if transfer else SECTIONS
        flat = {name: value for section in sections for name, value in stored[section].items()}
        known = {item.name for section in sections.values() for item in dataclasses.fields(section)}
        if unknown := sorted(set(flat) - known):
            raise ValueError(f"settings unknown to this version: {', '.join(unknown)}")
        return train_config(stored["recipe"], LossConfig(**stored["loss"]), flat, transfer=transfer)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a run's config.json: {error!r}") from error


def _tuples(value: Any) -> Any:
    """JSON has lists where the dataclasses have tuples."""
    return tuple(value) if isinstance(value, list) else value
