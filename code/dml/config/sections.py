"""What every run is told beside its images: network, optimiser, evaluation, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

from dml.conditions import unless, when, while_unset
from dml.config.base import Section, option, require
from dml.config.data import ROOT
from dml.config.used_with import (
    BATCH_NORM,
    DECAYING,
    DRAWN_HEADS,
    NAMES_A_GROUP,
    NOT_OF_TARGETS,
    OWN_IMAGES,
    RANDOM_WEIGHTS,
    SENT_TO_WANDB,
    WITH_PARAMETERS,
    WITH_PICTURES,
    WITH_PROXIES,
)
from dml.metric_names import metric_key
from dml.ranges import above, at_least, between


@dataclass(frozen=True)
class ModelConfig(Section):
    """The embedding network."""

    model: str = option("bn_inception", "backbone; timm/NAME for every network of timm")
    embedding_size: int = option(512, "D, length of an embedding", aliases=("embed_dim",), within=at_least(1))
    pretrained: bool = option(
        True,
        "start from ImageNet weights",
        used_if=(while_unset("init_from"), while_unset("resume"), while_unset("not_pretrained")),
    )
    weights: str | None = option(
        None, "a local file of pretrained weights, under torchvision's names or timm's, instead of a download"
    )
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
        used_if=when("l2_norm", True),
    )
    bn_freeze: bool = option(
        True, "keep the running statistics of the backbone's batch normalisation fixed", used_if=BATCH_NORM
    )
    bn_affine: bool = option(
        False,
        "with --bn-freeze, train batch normalisation's affine parameters all the same",
        used_if=(BATCH_NORM, when("bn_freeze", True)),
    )
    bn_momentum: float = option(
        0.1,
        "weight of a batch in the running statistics of the backbone's batch normalisation, without --bn-freeze",
        within=between(0, 1, without="low"),
        used_if=(BATCH_NORM, when("bn_freeze", False)),
    )
    backbone_init: str = option(
        "published",
        "how convolutions start without pretrained weights: as published, or as torch draws them, 2.4 times smaller"
        " in a ResNet, so that steps of the same length change them more",
        choices=("published", "torch"),
        used_if=RANDOM_WEIGHTS,
    )
    head: str = option(
        "linear",
        "embedding layer: linear; or two layers, without and with batch normalisation between them",
        choices=("linear", "mlp", "mlp_bn"),
    )
    pooling: str = option(
        "avg_max",
        "what makes one row of features of the network's last layer: the average over places; average plus maximum; the"
        " class token; class token beside average; the generalised mean, whose exponent is learned; what the network"
        " itself has, where that is none of these; unset: the network's own custom",
        choices=("avg", "avg_max", "cls", "cls_avg", "gem", "own"),
    )
    head_init: str = option(
        "kaiming",
        "initialisation of a linear embedding layer",
        choices=("kaiming", "orthogonal", "torch"),
        used_if=(
            when("head", "linear"),
            DRAWN_HEADS,
        ),
    )


@dataclass(frozen=True)
class OptimConfig(Section):
    """Optimiser, schedule and the length of the training."""

    epochs: int = option(60, "passes over the training set", aliases=("n_epochs", "epoch"), within=at_least(1))
    optimizer: str = option(
        "adamw", "optimiser", aliases=("optim",), choices=("sgd", "adam", "rmsprop", "adamw", "adamp")
    )
    lr: float = option(1e-4, "base learning rate", within=above(0))
    proxy_lr_scale: float | None = option(
        None,
        "learning rate of the proxies in multiples of --lr; unset: as published",
        within=at_least(0),
        used_if=(WITH_PARAMETERS, unless("loss_margin_beta_constant", True), unless("scheduler", "cyclic")),
    )
    init_type: str = option(
        "normal",
        "how proxies start: Kaiming normal, Kaiming uniform, or at the class means of what the untrained network makes"
        " of random crops",
        choices=("normal", "uniform", "center"),
        used_if=(NOT_OF_TARGETS, WITH_PROXIES),
    )
    weight_decay: float = option(1e-4, "weight decay", aliases=("decay",), within=at_least(0))
    adam_eps: float = option(
        1e-8, "added to the root of the second moment, for adam", within=above(0), used_if=when("optimizer", "adam")
    )
    sgd_momentum: float = option(
        0.9,
        "momentum, for sgd",
        within=between(0, 1, without="high"),
        used_if=(when("optimizer", "sgd"), unless("scheduler", "cyclic")),
    )
    nesterov: bool = option(True, "Nesterov momentum, for sgd", used_if=when("optimizer", "sgd"))
    head_lr: float | None = option(
        None,
        "learning rate of the embedding layer; unset or −1: --lr",
        aliases=("fc_lr", "emb_lr"),
        within=above(0, also=(-1,)),
        used_if=(NOT_OF_TARGETS, unless("scheduler", "cyclic")),
    )
    scheduler: str = option(
        "step",
        "learning rate over time; multistep decays after the epochs of --milestones; cyclic goes up and down between a"
        " quarter of --lr and --lr, for all parameters alike, and the momentum of sgd and rmsprop between 0.9 and 0.8",
        choices=("step", "multistep", "cosine", "exp", "cyclic", "constant"),
    )
    lr_decay_step: int = option(
        10, "epochs between two decays of the step schedule", within=at_least(1), used_if=when("scheduler", "step")
    )
    lr_decay_gamma: float = option(
        0.5,
        "factor of a decay of the step, multistep and exp schedules",
        aliases=("gamma",),
        within=above(0),
        used_if=(when("scheduler", "step", "multistep", "exp"), DECAYING),
    )
    milestones: tuple[int, ...] = option(
        (),
        "epochs after which the multistep schedule decays",
        aliases=("tau",),
        within=at_least(1),
        used_if=(when("scheduler", "multistep"), DECAYING),
    )
    lr_warmup: float = option(
        0.0,
        "first epochs, or part of one, over which the learning rate rises linearly from 0",
        within=at_least(0),
    )
    warm: int = option(1, "first epochs in which only the new parameters (head, proxies) train", within=at_least(0))
    clip_value: float = option(10.0, "gradients are cut to ±this; 0: not at all", within=at_least(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.optimizer != "sgd" or self.sgd_momentum > 0 or not self.nesterov,
            "--sgd-momentum 0 leaves nothing of Nesterov's: add --nesterov 0",
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
    train_metrics: bool = option(
        False,
        "compute the metrics on the training images too, as train_set/...",
        used_if=while_unset("no_train_metrics"),
    )
    eval_first: bool = option(False, "evaluate the untrained network before the first step")
    baselines: bool | None = option(
        None,
        "set beside the network, in its final table, what needs no training: small pixels, colour histograms, the"
        " untrained network and, with weights to start from, their features; unset: of --dataset folder",
        used_if=unless("eval_test_every", 0),
    )
    eval_every: int = option(
        1, "epochs between two evaluations; the last epoch is always evaluated", within=at_least(1)
    )
    select: str | None = option(
        None,
        "choose the best epoch on the test split, as published, or on held-out classes; unset: val if there are any",
        choices=("test", "val"),
    )
    eval_test_every: int | None = option(
        None,
        "epochs between two looks at the test split, and one after the last; 0: none at all; unset: with every"
        " evaluation, but with --select val once, at the end, at the best epoch's network",
        within=at_least(0),
        before=1,
    )
    select_metric: str = option(
        "recall_at_1",
        "metric that makes the best epoch: where it is highest, a distance within classes where lowest",
        used_if=while_unset("storage_metrics"),
    )
    storage_metrics: tuple[str, ...] = option(
        (), "the first one replaces --select-metric; of each other one the best epoch is kept as best_<metric>.pt"
    )
    keep_copies: bool = option(
        False,
        "let copies of an image answer it; unset: of --dataset folder an image is never found by itself, listed twice"
        " or copied, while the other data sets keep their published protocol, copies included",
        used_if=OWN_IMAGES,
        before=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        keys = tuple(dict.fromkeys(map(metric_key, self.storage_metrics)))
        object.__setattr__(self, "storage_metrics", keys)
        object.__setattr__(self, "select_metric", keys[0] if keys else metric_key(self.select_metric))


@dataclass(frozen=True)
class RunConfig(Section):
    """Where and how the run is executed and recorded."""

    seed: int = option(1, "of initialisation, sampling and augmentation", within=between(0, 2**32 - 1))
    gpu_id: tuple[int, ...] = option(
        (),
        "GPU number or numbers, -1 for all visible ones; unset: the first, or the CPU where there is none",
        aliases=("gpu",),
        within=at_least(0, also=(-1,)),
    )
    precision: str = option("32", "arithmetic of the network", choices=("32", "16-mixed", "bf16-mixed"))
    compile: bool = option(False, "compile the network with torch.compile")
    memory_format: str = option(
        "auto",
        "how feature maps lie in memory; auto: channels_last in mixed precision, and on a CPU for networks with a"
        " convolution for each channel such as MobileNet, else contiguous",
        choices=("auto", "contiguous", "channels_last"),
        before="contiguous",
    )
    accumulate: int = option(
        1,
        "pass each batch through the networks in so many pieces, for the loss of the whole batch in the memory of one"
        " piece; a step takes two fifths longer",
        within=at_least(1),
        used_if=unless("cache_features", True),
    )
    log_dir: str = option(str(ROOT / "logs"), "where run folders are made", aliases=("LOG_DIR", "save_path"))
    run_name: str | None = option(None, "name of the run folder; unset: made from the settings", aliases=("savename",))
    remark: str = option("", "appended to the run's name", used_if=while_unset("run_name"))
    save: bool = option(True, "keep best.pt, the network of the best epoch")
    as_source: bool = option(
        False,
        "train a source network of embedding transfer: its defaults, and best.pt copied to pretrained_source",
        used_if=NOT_OF_TARGETS,
    )
    pictures: bool = option(True, "draw curves, a retrieval gallery and a t-SNE page at the end")
    wandb_pictures: bool = option(
        False,
        "of --dataset folder: send the pictures that show images to W&B, too; other data sets' always go there",
        used_if=(OWN_IMAGES, SENT_TO_WANDB, WITH_PICTURES),
    )
    visualize: bool = option(
        False, "draw t-SNE pages of test embeddings and proxies at the start and every tenth epoch"
    )
    wandb: str = option(
        "auto",
        "Weights & Biases; auto: as WANDB_MODE says, else online only where credentials are there already",
        choices=("online", "offline", "disabled", "auto"),
    )
    tracker: str | None = option(
        None,
        "a further dashboard; tensorboard: event files in tensorboard/ of the run folder",
        choices=("tensorboard",),
    )
    project: str | None = option(
        None, "W&B project; unset: WANDB_PROJECT, else deep-metric-learning", used_if=SENT_TO_WANDB
    )
    group: str | None = option(
        None, "W&B group; unset: WANDB_RUN_GROUP, else data set and method", used_if=NAMES_A_GROUP
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        name = self.run_name
        require(
            name is None or (name not in ("", ".", "..") and "/" not in name),
            f"--run-name {name!r} is no name",
        )
        require("/" not in self.remark, f"--remark {self.remark!r} becomes part of a folder's name: leave out the /")
