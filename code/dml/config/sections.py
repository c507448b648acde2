"""What every run is told: images, network, optimiser, evaluation, and what it leaves behind."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from dml.config.base import ConfigWarning, Section, option, require
from dml.metric_names import metric_key
from dml.places import from_home

ROOT = Path(__file__).resolve().parents[3]


def default_data_name(dataset: str, data_dir: str) -> str:
    """The name of the data where none is typed: the data set's, of a user's own that of the folder or CSV file."""
    if dataset != "folder":
        return dataset
    path = Path(os.path.normpath(from_home(data_dir).absolute()))
    return (path.stem if path.suffix.lower() == ".csv" else path.name) or dataset


@dataclass(frozen=True)
class DataConfig(Section):
    """The images and how they become batches."""

    dataset: str = option("cub", "data set: cub, cars, SOP, Inshop, glyphs or folder")
    data_dir: str = option(
        str(ROOT / "data"),
        "where the data sets are; for --dataset folder the images themselves or a CSV",
        aliases=("DATA_DIR", "source", "source_path"),
    )
    data_name: str | None = option(
        None,
        "name of the data: runs go to <log-dir>/<name>/ and are compared under it; unset: the data set's, of --dataset"
        " folder the folder's own or that of the CSV file",
    )
    strict: bool = option(False, "of --dataset folder: stop at unreadable images instead of leaving them out")
    bits: int | None = option(
        None,
        "of --dataset folder: how many bits the numbers of images of more than 8 bits fill, 8 to 16, where their files"
        " do not say; unset: as many as the largest of all needs",
    )
    val_split: float | None = option(None, "share of the training classes held out for validation")
    val_by_images: bool = option(
        False,
        "--val-split is a share of each training class's images: validation shares the classes then",
        aliases=("tv_split_by_samples",),
    )
    fold: str | None = option(None, "i/k: hold out the i-th of k parts of the training classes")
    batch_size: int = option(150, "images per step, over all processes", aliases=("bs",))
    IPC: int | None = option(
        None, "images per class in a batch; unset: no balance", aliases=("images_per_class", "samples_per_class")
    )
    sampler: str | None = option(
        None,
        "random, class_balanced, balanced, power_balanced, class_random, full_random, greedy_coreset, d2_coreset,"
        " fid_batchmatch or disthist_batchmatch; unset: as published",
        aliases=("data_sampler",),
    )
    p: float = option(0.2, "exponent of the class size in power-balanced sampling")
    workers: int = option(
        4,
        "data loading processes; 0 loads in the main one; by default no more than there are cores",
        aliases=("kernels",),
    )
    resize: int = option(256, "shorter side of an evaluated image before its centre is cut out")
    crop_size: int | None = option(None, "side of the network's input; unset: the network's own (224)")
    crop_scale: float = option(0.08, "smallest share of the area that a random training crop takes")
    flip: bool = option(True, "mirror training images at random")
    augment: bool = option(True, "random crops in training; off: training images as they are evaluated")
    augmentation: str = option(
        "base",
        "kind of random crops: of random scale; those with colours changed; larger ones; after --resize; of random"
        " scale with brightness, contrast, saturation and lighting changed",
        choices=("base", "adv", "big", "red", "lighting"),
    )
    pillow: bool = option(
        False,
        "crop, scale and recolour images by Pillow, to the very pixels of the published code; off: on tensors, in up to"
        " half the time, a few pixels differing by a level of 255",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.data_name is None or (self.data_name not in ("", ".", "..") and "/" not in self.data_name),
            f"--data-name {self.data_name!r} is no name: it becomes that of a folder",
        )
        require(self.batch_size >= 1, f"--batch-size must be at least 1, got {self.batch_size}")
        require(self.workers >= 0, f"--workers must be 0 or more, got {self.workers}")
        require(self.bits is None or 8 <= self.bits <= 16, f"--bits must lie in 8..16, got {self.bits}")
        require(
            self.bits is None or self.dataset == "folder",
            f"--bits is for --dataset folder; {self.dataset} is read as published",
        )
        require(0 < self.crop_scale <= 1, f"--crop-scale must lie in (0, 1], got {self.crop_scale}")
        require(self.IPC is None or self.IPC >= 1, f"--IPC must be at least 1, got {self.IPC}")
        for name in ("resize", "crop_size"):
            side = getattr(self, name)
            require(side is None or side >= 1, f"--{name.replace('_', '-')} must be at least 1, got {side}")
        require(
            self.val_split is None or 0 < self.val_split < 1,
            f"--val-split is a share between 0 and 1, got {self.val_split}",
        )
        require(self.val_split is None or self.fold is None, "--val-split and --fold exclude each other")
        require(
            not self.val_by_images or self.val_split is not None,
            "--val-by-images (--tv_split_by_samples) goes with --val-split (--use_tv_split)",
        )
        self.fold_numbers()

    @property
    def name(self) -> str:
        """``data_name``, or what stands for it where it is unset."""
        return self.data_name or default_data_name(self.dataset, self.data_dir)

    def fold_numbers(self) -> tuple[int, int] | None:
        """(i, k) of ``--fold i/k``, 1 ≤ i ≤ k; None without the flag. ValueError if it is no such thing."""
        if self.fold is None:
            return None
        parts = self.fold.split("/")
        require(
            len(parts) == 2 and all(p.isdigit() for p in parts),
            f"--fold reads i/k, such as 1/5; got {self.fold}",
        )
        i, k = map(int, parts)
        require(1 <= i <= k and k >= 2, f"--fold i/k needs 1 ≤ i ≤ k and k ≥ 2; got {self.fold}")
        return i, k


@dataclass(frozen=True)
class ModelConfig(Section):
    """The embedding network."""

    model: str = option("bn_inception", "backbone")
    embedding_size: int = option(512, "D, length of an embedding", aliases=("embed_dim",))
    pretrained: bool = option(True, "start from ImageNet weights")
    weights: str | None = option(None, "a local file of ImageNet weights, instead of a download")
    init_from: str | None = option(
        None,
        "start from the weights of this checkpoint, ours (a file or a run folder) or published: its backbone, and"
        " those of its heads that are the same here; --pretrained then says nothing",
    )
    l2_norm: bool = option(True, "embeddings of unit length", aliases=("target_norm",))
    norm_convention: str = option(
        "n_eps",
        "how x is brought to unit length: x / sqrt(|x|^2 + 1e-12), the same with 1e-5, or x / max(|x|, 1e-12)",
        choices=("n_eps", "n_eps_1e-5", "n_clamp"),
    )
    bn_freeze: bool = option(True, "keep the running statistics of the backbone's batch normalisation fixed")
    bn_affine: bool = option(False, "with --bn-freeze, train batch normalisation's affine parameters all the same")
    bn_momentum: float = option(
        0.1, "weight of a batch in the running statistics of the backbone's batch normalisation, without --bn-freeze"
    )
    backbone_init: str = option(
        "published",
        "how convolutions start without pretrained weights: as published, or as torch draws them, 2.4 times smaller"
        " in a ResNet, so that steps of the same length change them more",
        choices=("published", "torch"),
    )
    head: str = option(
        "linear",
        "embedding layer: linear; or two layers, without and with batch normalisation between them",
        choices=("linear", "mlp", "mlp_bn"),
    )
    pooling: str = option("avg_max", "global pooling: average, or average plus maximum", choices=("avg", "avg_max"))
    head_init: str = option(
        "kaiming", "initialisation of a linear embedding layer", choices=("kaiming", "orthogonal", "torch")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.embedding_size >= 1, f"--embedding-size must be at least 1, got {self.embedding_size}")
        require(0 < self.bn_momentum <= 1, f"--bn-momentum must lie in (0, 1], got {self.bn_momentum}")


@dataclass(frozen=True)
class OptimConfig(Section):
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
        "how proxies start: Kaiming normal, Kaiming uniform, or at the class means of what the untrained network makes"
        " of random crops",
        choices=("normal", "uniform", "center"),
    )
    weight_decay: float = option(1e-4, "weight decay", aliases=("decay",))
    adam_eps: float = option(1e-8, "added to the root of the second moment, for adam")
    sgd_momentum: float = option(0.9, "momentum, for sgd")
    nesterov: bool = option(True, "Nesterov momentum, for sgd")
    head_lr: float | None = option(
        None, "learning rate of the embedding layer; unset or −1: --lr", aliases=("fc_lr", "emb_lr")
    )
    scheduler: str = option(
        "step",
        "learning rate over time; multistep decays after the epochs of --milestones; cyclic goes up and down between a"
        " quarter of --lr and --lr, for all parameters alike, and the momentum of sgd and rmsprop between 0.9 and 0.8",
        choices=("step", "multistep", "cosine", "exp", "cyclic", "constant"),
    )
    lr_decay_step: int = option(10, "epochs between two decays of the step schedule")
    lr_decay_gamma: float = option(
        0.5, "factor of a decay of the step, multistep and exp schedules", aliases=("gamma",)
    )
    milestones: tuple[int, ...] = option((), "epochs after which the multistep schedule decays", aliases=("tau",))
    lr_warmup: float = option(0.0, "first epochs, or part of one, over which the learning rate rises linearly from 0")
    warm: int = option(1, "first epochs in which only the new parameters (head, proxies) train")
    clip_value: float = option(10.0, "gradients are cut to ±this; 0: not at all")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.epochs >= 1, f"--epochs must be at least 1, got {self.epochs}")
        require(self.lr > 0, f"--lr must be positive, got {self.lr}")
        require(self.weight_decay >= 0, f"--weight-decay must be 0 or more, got {self.weight_decay}")
        require(0 <= self.sgd_momentum < 1, f"--sgd-momentum must lie in [0, 1), got {self.sgd_momentum}")
        require(
            self.optimizer != "sgd" or self.sgd_momentum > 0 or not self.nesterov,
            "--sgd-momentum 0 leaves nothing of Nesterov's: add --nesterov 0",
        )
        require(self.lr_decay_step >= 1, f"--lr-decay-step must be at least 1, got {self.lr_decay_step}")
        require(self.lr_decay_gamma > 0, f"--lr-decay-gamma must be positive, got {self.lr_decay_gamma}")
        require(
            self.head_lr is None or self.head_lr > 0 or self.head_lr == -1,
            f"--head-lr (--fc_lr) must be positive, or −1 for --lr; got {self.head_lr}",
        )
        require(min(self.milestones, default=1) >= 1, f"--milestones (--tau) count from 1, got {self.milestones}")
        require(self.lr_warmup >= 0, f"--lr-warmup must be 0 or more, got {self.lr_warmup}")
        require(self.warm >= 0, f"--warm must be 0 or more, got {self.warm}")
        require(self.clip_value >= 0, f"--clip-value must be 0 or more, got {self.clip_value}")
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
class EvalConfig(Section):
    """How the embedding is judged and the best epoch chosen."""

    eval_distance: str = option("cosine", "what ranks neighbours", choices=("cosine", "euclidean"))
    metrics: tuple[str, ...] = option(
        ("recall", "map_at_r", "r_precision", "precision_at_1"),
        "metrics to compute; also nmi, f1, e_recall@k, c_recall@k, mAP, mAP_c, mAP_lim, mAP_1000, and with c_ before"
        " it each of these but recall by cosine; dists@intra, dists@inter, dists@intra_over_inter, rho_spectrum@m",
        aliases=("evaluation_metrics",),
    )
    train_metrics: bool = option(False, "compute the metrics on the training images too, as train_set/...")
    eval_first: bool = option(False, "evaluate the untrained network before the first step")
    eval_every: int = option(1, "epochs between two evaluations; the last epoch is always evaluated")
    select: str | None = option(
        None,
        "choose the best epoch on the test split, as published, or on held-out classes; unset: val if there are any",
        choices=("test", "val"),
    )
    select_metric: str = option(
        "recall_at_1", "metric that makes the best epoch: where it is highest, a distance within classes where lowest"
    )
    storage_metrics: tuple[str, ...] = option(
        (), "the first one replaces --select-metric; of each other one the best epoch is kept as best_<metric>.pt"
    )
    keep_copies: bool = option(
        False,
        "let copies of an image answer it; unset: of --dataset folder an image is never found by itself, listed twice"
        " or copied, while the other data sets keep their published protocol, copies included",
        before=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.eval_every >= 1, f"--eval-every must be at least 1, got {self.eval_every}")
        keys = tuple(dict.fromkeys(map(metric_key, self.storage_metrics)))
        object.__setattr__(self, "storage_metrics", keys)
        object.__setattr__(self, "select_metric", keys[0] if keys else metric_key(self.select_metric))


@dataclass(frozen=True)
class RunConfig(Section):
    """Where and how the run is executed and recorded."""

    seed: int = option(1, "of initialisation, sampling and augmentation")
    gpu_id: tuple[int, ...] = option((0,), "GPU number or numbers; -1: all visible ones", aliases=("gpu",))
    precision: str = option("32", "arithmetic of the network", choices=("32", "16-mixed", "bf16-mixed"))
    compile: bool = option(False, "compile the network with torch.compile")
    log_dir: str = option(str(ROOT / "logs"), "where run folders are made", aliases=("LOG_DIR", "save_path"))
    run_name: str | None = option(None, "name of the run folder; unset: made from the settings", aliases=("savename",))
    remark: str = option("", "appended to the run's name")
    save: bool = option(True, "keep best.pt, the network of the best epoch")
    as_source: bool = option(
        False, "train a source network of embedding transfer: its defaults, and best.pt copied to pretrained_source"
    )
    pictures: bool = option(True, "draw curves, a retrieval gallery and a t-SNE page at the end")
    wandb_pictures: bool = option(
        False, "of --dataset folder: send the pictures that show images to W&B, too; other data sets' always go there"
    )
    visualize: bool = option(
        False, "draw t-SNE pages of test embeddings and proxies at the start and every tenth epoch"
    )
    wandb: str = option(
        "auto",
        "Weights & Biases; auto: as WANDB_MODE says, else online only where credentials are there already",
        choices=("online", "offline", "disabled", "auto"),
    )
    project: str | None = option(None, "W&B project; unset: WANDB_PROJECT, else deep-metric-learning")
    group: str | None = option(None, "W&B group; unset: WANDB_RUN_GROUP, else data set and loss")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.seed < 2**32, f"--seed must lie in 0..2³²−1, got {self.seed}")
        name = self.run_name
        require(
            name is None or (name not in ("", ".", "..") and "/" not in name),
            f"--run-name {name!r} is no name",
        )
        require("/" not in self.remark, f"--remark {self.remark!r} becomes part of a folder's name: leave out the /")
