"""The settings of ``code/evaluate.py``."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dml.conditions import Condition, Settings
from dml.config.base import Section, like, option, require
from dml.config.data import DataConfig
from dml.config.sections import EvalConfig, ModelConfig, RunConfig
from dml.metric_names import metric_key
from dml.ranges import between


def _draws_at_random(settings: Settings) -> bool:
    """Whether anything is drawn: clusters to begin with, or images to show."""
    clustered = any(metric_key(name).rpartition("_")[2] in ("nmi", "f1") for name in settings["metrics"] or ())
    return clustered or any(settings[name] for name in ("gallery", "tsne", "uncertainty"))


@dataclass(frozen=True)
class EvaluateConfig(Section):
    """The checkpoint, and how it is judged; what is unset comes from the checkpoint."""

    ckpt: str = option("", "the checkpoint to evaluate: ours, a run folder, or published", aliases=("resume",))
    head: str | None = option(
        None,
        "none: judge the pooled features, without the embedding layer: of the checkpoint, or without --ckpt of a"
        " pretrained --model",
        choices=("none",),
    )
    dataset: str | None = like(DataConfig, "dataset", None)
    data_dir: str | None = like(DataConfig, "data_dir", None)
    strict: bool = like(DataConfig, "strict", False)
    bits: int | None = like(DataConfig, "bits", None)
    unlabelled: bool | None = option(
        None,
        "of --dataset folder embed every image, at any depth, without classes and metrics; unset: as the checkpoint's"
        " run, or of --data-dir if images lie directly in it",
    )
    new_classes: bool = option(
        False,
        "of --dataset folder evaluate classes, too, that the checkpoint's run knows neither from training nor from"
        " testing",
    )
    model: str | None = option(
        None,
        "backbone that the checkpoint must hold; unset: whatever it holds; without --ckpt, the one to judge",
        aliases=("arch",),
    )
    pretrained: bool = option(True, "without --ckpt, start --model from its published weights; 0: random ones")
    weights: str | None = option(
        None, "without --ckpt, a local file of pretrained weights, under torchvision's names or timm's, not a download"
    )
    pooling: str | None = option(
        None,
        "without --ckpt, what makes one row of features, as in training; unset: the network's own custom",
        choices=next(field for field in fields(ModelConfig) if field.name == "pooling").metadata["choices"],
    )
    embedding_size: int | None = like(ModelConfig, "embedding_size", None)
    batch_size: int = like(DataConfig, "batch_size", 150)
    workers: int = like(DataConfig, "workers", 4)
    resize: int | None = like(DataConfig, "resize", None)
    crop_size: int | None = like(DataConfig, "crop_size", None)
    pillow: bool | None = like(DataConfig, "pillow", None)
    gpu_id: tuple[int, ...] = like(RunConfig, "gpu_id", ())
    precision: str = like(RunConfig, "precision", "32")
    eval_distance: str | None = like(EvalConfig, "eval_distance", None)
    metrics: tuple[str, ...] | None = like(EvalConfig, "metrics", None)
    keep_copies: bool | None = like(EvalConfig, "keep_copies", None)
    baselines: bool = option(False, "set small pixels and colour histograms, which need no network, beside it")
    l2_norm: bool | None = option(None, "embeddings of unit length; unset: as trained", aliases=("target_norm",))
    seed: int | None = option(
        None,
        "of the clustering behind nmi and f1, and of the pictures' choices; unset: that of the checkpoint's run, 0 for"
        " a published checkpoint",
        within=between(0, 2**32 - 1),
        used_if=Condition(
            _draws_at_random, "has no effect without --metrics nmi or f1, --gallery, --tsne or --uncertainty"
        ),
    )
    json: str | None = option(None, "write the metrics to this file")
    save_embeddings: str | None = option(
        None, "write embeddings, labels (if there are classes) and paths to this .npz file"
    )
    gallery: str | None = option(None, "draw queries and their neighbours into this .png file")
    tsne: str | None = option(None, "draw a t-SNE page of the embeddings into this .html file")
    uncertainty: bool = option(
        False, "rank the images by the uncertainty of a network trained with --introspective, compare with its errors"
    )
    uncertainty_gallery: str | None = option(
        None, "draw the most and least certain images into this .png file; unset: uncertainty.png beside the checkpoint"
    )
    remark: str = option("", "accepted as published, of no effect")
    bn_freeze: bool | None = option(
        None,
        "accepted as published; evaluation always uses running statistics",
        used_if=Condition(
            lambda settings: settings["bn_freeze"], "0 has no effect: evaluation always uses running statistics"
        ),
    )
    source_norm: bool | None = option(None, "accepted as published, of no effect")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.ckpt != "" or self.head is not None,
            "--ckpt FILE (or --resume FILE) says which checkpoint to evaluate; --head none --model NAME judges the"
            " features of a network that was not trained here",
        )
        require(self.ckpt != "" or self.model is not None, "--head none without --ckpt judges a network: --model NAME")
        for flag, typed in (
            ("--pretrained 0", not self.pretrained),
            ("--weights", self.weights is not None),
            ("--pooling", self.pooling is not None),
        ):
            require(not (self.ckpt and typed), f"{flag} is not used with --ckpt, which says what the network is")
        require(self.pretrained or self.weights is None, f"--weights {self.weights} goes with --pretrained 1")
        for flag, file, suffix in (
            ("--gallery", self.gallery, ".png"),
            ("--tsne", self.tsne, ".html"),
            ("--uncertainty-gallery", self.uncertainty_gallery, ".png"),
        ):
            require(file is None or file.endswith(suffix), f"{flag} {file}: the file's name must end in {suffix}")
        require(self.uncertainty or self.uncertainty_gallery is None, "--uncertainty-gallery needs --uncertainty")
        if self.unlabelled:
            self._check_without_classes()

    @property
    def judged(self) -> str:
        """What is judged, in a word: the checkpoint's path or the network's name."""
        return self.ckpt or self.model

    def _check_without_classes(self) -> None:
        """Refuse what needs classes, and to embed for nothing. UserError."""
        for flag, value in (
            ("--metrics", self.metrics),
            ("--keep-copies", self.keep_copies),
            ("--baselines", self.baselines),
            ("--json", self.json),
            ("--uncertainty", self.uncertainty),
        ):
            require(
                not value,
                f"{flag}: the images have no classes to judge by; leave it out, or add --unlabelled 0 if their folders"
                " are classes",
            )
        require(
            any((self.save_embeddings, self.gallery, self.tsne)),
            "the images have no classes, and so no metrics: say what to make of their embeddings by --save-embeddings"
            " FILE, --gallery FILE or --tsne FILE, or add --unlabelled 0 if their folders are classes",
        )
