"""What a run is told of its images, and how they become batches."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dml.conditions import unless, when
from dml.config.base import Section, option, require
from dml.config.used_with import COUNTED_BY_CLASS, OWN_IMAGES, RANDOM_CROPS
from dml.places import from_home, root_of
from dml.ranges import at_least, between, unbounded

ROOT = root_of(Path(__file__).resolve().parents[1])


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
    split: str = option(
        "classes",
        "of --dataset folder, where its folders or CSV do not say: test on the second half of the classes; or train on"
        " every class and search a fifth of each one's images in the rest; or train on all, for use, and test nothing",
        choices=("classes", "images", "all"),
        used_if=OWN_IMAGES,
    )
    strict: bool = option(
        False, "of --dataset folder: stop at unreadable images instead of leaving them out", used_if=OWN_IMAGES
    )
    bits: int | None = option(
        None,
        "of --dataset folder: how many bits the numbers of images of more than 8 bits fill, 8 to 16, where their files"
        " do not say; unset: as many as the largest of all needs",
        within=between(8, 16),
    )
    val_split: float | None = option(
        None, "share of the training classes held out for validation", within=between(0, 1, without="ends")
    )
    val_by_images: bool = option(
        False,
        "--val-split is a share of each training class's images: validation shares the classes then",
        aliases=("tv_split_by_samples",),
    )
    fold: str | None = option(None, "i/k: hold out the i-th of k parts of the training classes")
    batch_size: int = option(150, "images per step, over all processes", aliases=("bs",), within=at_least(1))
    IPC: int | None = option(
        None,
        "images per class in a batch; unset: no balance",
        aliases=("images_per_class", "samples_per_class"),
        within=at_least(1),
        used_if=(
            unless("sampler", "random", "full_random"),
            COUNTED_BY_CLASS,
        ),
    )
    sampler: str | None = option(
        None,
        "random, class_balanced, balanced, power_balanced, class_random, full_random, greedy_coreset, d2_coreset,"
        " fid_batchmatch or disthist_batchmatch; unset: as published",
        aliases=("data_sampler",),
    )
    p: float = option(
        0.2,
        "exponent of the class size in power-balanced sampling",
        within=unbounded("0 is uniform over classes, 1 over images; below 0 small classes are drawn more often"),
        used_if=when("sampler", "power_balanced"),
    )
    workers: int = option(
        4,
        "data loading processes; 0 loads in the main one; by default no more than there are cores",
        aliases=("kernels",),
        within=at_least(0),
    )
    cache_images: str = option(
        "none",
        "decode every image once and keep it: in memory, or in a file below ~/.cache that later runs take, too. The"
        " batches are the same; an image of 500 × 375 pixels takes 0.6 MB",
        choices=("none", "memory", "disk"),
    )
    resize: int = option(256, "shorter side of an evaluated image before its centre is cut out", within=at_least(1))
    crop_size: int | None = option(
        None,
        "side of the network's input; unset: the network's own (224). Position embeddings are resampled for it",
        aliases=("img_size",),
        within=at_least(1),
    )
    crop_scale: float = option(
        0.08,
        "smallest share of the area that a random training crop takes",
        within=between(0, 1, without="low"),
        used_if=(*RANDOM_CROPS, unless("augmentation", "red")),
    )
    flip: bool = option(True, "mirror training images at random", used_if=when("augment", True))
    augment: bool = option(True, "random crops in training; off: training images as they are evaluated")
    augmentation: str = option(
        "base",
        "kind of random crops: of random scale; those with colours changed; larger ones; after --resize; of random"
        " scale with brightness, contrast, saturation and lighting changed",
        choices=("base", "adv", "big", "red", "lighting"),
        used_if=RANDOM_CROPS,
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
        require(
            self.bits is None or self.dataset == "folder",
            f"--bits is for --dataset folder; {self.dataset} is read as published",
        )
        held_out = self.val_split is not None or self.fold is not None
        require(
            not held_out or self.split == "classes" or (self.split == "images" and self.val_by_images),
            "--split images trains on every class: hold out images of each by --val-split SHARE --val-by-images 1"
            if self.split == "images"
            else "--split all trains on every image: --val-split and --fold hold some out, so leave them out",
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
        """(i, k) of ``--fold i/k``, 1 ≤ i ≤ k; None without the flag. UserError if it is no such thing."""
        if self.fold is None:
            return None
        parts = self.fold.split("/")
        require(
            len(parts) == 2 and all(p.isdecimal() for p in parts),
            f"--fold reads i/k, such as 1/5; got {self.fold}",
        )
        i, k = map(int, parts)
        require(1 <= i <= k and k >= 2, f"--fold i/k needs 1 ≤ i ≤ k and k ≥ 2; got {self.fold}")
        return i, k
