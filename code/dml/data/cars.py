"""Cars-196: 196 car models (Krause et al., 2013); classes 1–98 train, 99–196 test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dml.data.layout import (
    DatasetError,
    DatasetSpec,
    SplitSize,
    class_folders,
    fetch_command,
    find_root,
    is_image,
    join_paths,
    read_class_folders,
    require_classes,
    split_classes,
)
from dml.data.records import ImageRecords, RetrievalData

RECALL_KS = (1, 2, 4, 8, 16, 32)
FOLDERS = ("cars196", "cars", "stanford_cars")
NUM_TRAIN_CLASSES = 98
MIN_CLASSES = 4  # two to train, two to test
POOLED_LIST = "cars_annos.mat"
# The two official parts in torchvision's layout: list (in one of two places) and image folder.
PARTS = (
    (("devkit/cars_train_annos.mat", "cars_train_annos.mat"), "cars_train"),
    (("cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat"), "cars_test"),
)


def load_cars(data_dir: Path) -> RetrievalData:
    """Cars-196 in any of its layouts, official training and test part pooled and split by class id:

    * ``car_ims/`` with ``cars_annos.mat``,
    * torchvision's ``cars_train/``, ``cars_test/``, ``devkit/`` and ``cars_test_annos_withlabels.mat``,
    * one folder per class, directly or under ``images/`` (LSD's layout).

    Lists: ids up to 98 train if any id exceeds 98, else the first half. Class folders: the first half trains.

    Raises:
        DatasetNotFoundError: if none of them is found.
        DatasetError: if a list is damaged or missing.
    """
    root = find_root(
        "cars",
        data_dir,
        FOLDERS,
        _is_root,
        "car_ims/ with cars_annos.mat, cars_train/ with cars_test/, or class folders",
    )
    if _is_pooled(root):
        train, test = _split_by_id(*_read_annotations(root / POOLED_LIST, "relative_im_path", root))
    elif _in_parts(root):
        train, test = _split_by_id(*_read_parts(root, data_dir))
    else:
        records = read_class_folders(_class_root(root))
        require_classes(records, _class_root(root), needed=MIN_CLASSES)
        train, test = split_classes(records)
    return RetrievalData("cars", train, test, None, None, RECALL_KS, by_rule=True)


def _is_root(folder: Path) -> bool:
    return _is_pooled(folder) or _in_parts(folder) or _holds_classes(_class_root(folder))


def _holds_classes(folder: Path) -> bool:
    # Not just any subfolders: --data-dir may be a folder of several datasets.
    names = class_folders(folder)
    return len(names) >= MIN_CLASSES and any(is_image(file.name) for file in (folder / names[0]).iterdir())


def _is_pooled(folder: Path) -> bool:
    return (folder / POOLED_LIST).is_file() and (folder / "car_ims").is_dir()


def _in_parts(folder: Path) -> bool:
    return all((folder / images).is_dir() for _, images in PARTS)


def _class_root(root: Path) -> Path:
    return root / "images" if (root / "images").is_dir() else root


def _read_parts(root: Path, data_dir: Path) -> tuple[list[str], np.ndarray]:
    paths: list[str] = []
    class_ids: list[np.ndarray] = []
    for lists, folder in PARTS:
        found = [root / name for name in lists if (root / name).is_file()]
        if not found:
            raise DatasetError(
                f"{root / folder} needs its list {lists[0]} in {root}: {fetch_command('cars', data_dir)} says where to"
                " get it"
            )
        nested = root / folder / folder  # as a Kaggle mirror packs it
        images = nested if nested.is_dir() else root / folder
        part_paths, part_ids = _read_annotations(found[0], "fname", images)
        paths += part_paths
        class_ids.append(part_ids)
    return paths, np.concatenate(class_ids)


def _read_annotations(path: Path, path_field: str, folder: Path) -> tuple[list[str], np.ndarray]:
    """Image paths and (N,) class ids from 1 of a MATLAB struct array ``annotations``."""
    import scipy.io  # here: no other data set needs scipy

    try:
        annotations = np.atleast_1d(scipy.io.loadmat(path, squeeze_me=True)["annotations"])
        names, class_ids = annotations[path_field], annotations["class"].astype(np.int64)
    # A damaged file makes scipy raise whatever comes; a list without classes is the test list without labels.
    except Exception as error:
        raise DatasetError(f"{path} is no list of Cars-196 with classes, or damaged: {error}") from error
    return join_paths(folder, names), class_ids


def _split_by_id(paths: list[str], class_ids: np.ndarray) -> tuple[ImageRecords, ImageRecords]:
    records = ImageRecords.from_classes(paths, class_ids)
    require_classes(records, "the lists of Cars-196", needed=MIN_CLASSES)
    if class_ids.max() <= NUM_TRAIN_CLASSES:
        return split_classes(records)
    return split_classes(records, len(np.unique(class_ids[class_ids <= NUM_TRAIN_CLASSES])))


SPEC = DatasetSpec(
    name="cars",
    load=load_cars,
    recall_ks=RECALL_KS,
    official={"train": SplitSize(98, 8054), "query": SplitSize(98, 8131)},
    fetch=fetch_command("cars"),
    aliases=("Cars", "cars196", "Cars196", "CARS", "stanford_cars"),
)
