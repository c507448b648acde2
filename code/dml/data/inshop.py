"""In-Shop Clothes Retrieval (Liu et al., DeepFashion, CVPR 2016): queries are searched in a gallery."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dml.data.layout import (
    DatasetError,
    DatasetNotFoundError,
    DatasetSpec,
    SplitSize,
    fetch_command,
    find_root,
    join_paths,
    read_table,
    require_classes,
)
from dml.data.records import ImageRecords, RetrievalData

RECALL_KS = (1, 10, 20, 30, 40, 50)
FOLDERS = (
    "Inshop_Clothes",
    "In-shop Clothes Retrieval Benchmark",
    "In-shop_Clothes_Retrieval_Benchmark",
    "In-shop",
    "inshop",
    "Inshop",
)
LISTS = ("Eval/list_eval_partition.txt", "list_eval_partition.txt")


def load_inshop(data_dir: Path) -> RetrievalData:
    """In-Shop: ``img/`` directly or under ``Img/``, the list of the split under ``Eval/`` or beside.

    Query and gallery share one numbering of the items, which is independent of the training items'. Ties count for
    the query, as published (METHODS §20).

    Raises:
        DatasetNotFoundError: if the list or the images are not found.
        DatasetError: if the list is damaged.
    """
    root = find_root(
        "Inshop",
        data_dir,
        FOLDERS,
        lambda p: any((p / name).is_file() for name in LISTS),
        "list_eval_partition.txt (beside img/ or under Eval/)",
    )
    path = next(root / name for name in LISTS if (root / name).is_file())
    # A line with the count, the header "image_name item_id evaluation_status", then one row per image.
    table = read_table(path, 3, num_skipped=4)
    images, items, status = np.array(join_paths(_image_folder(root, data_dir), table[:, 0])), table[:, 1], table[:, 2]
    unknown = sorted(set(status) - {"train", "query", "gallery"})
    if unknown:
        raise DatasetError(f"{path} is damaged: evaluation_status {unknown[0]!r} is not train, query or gallery")
    is_train = status == "train"
    train = ImageRecords.from_classes(images[is_train].tolist(), items[is_train])
    test = ImageRecords.from_classes(images[~is_train].tolist(), items[~is_train])
    query, gallery = (test.take(np.flatnonzero(status[~is_train] == part)) for part in ("query", "gallery"))
    for records in (train, query, gallery):
        require_classes(records, path)
    return RetrievalData("Inshop", train, query, gallery, None, RECALL_KS, ties_count_for_query=True)


def _image_folder(root: Path, data_dir: Path) -> Path:
    """The folder that the list's ``img/...`` paths start from."""
    for folder in (root / "Img", root):
        if (folder / "img").is_dir():
            return folder
    raise DatasetNotFoundError(
        f"dataset 'Inshop': {root} holds the list of images but no img/ folder, nor Img/img/. "
        f"Unpack img.zip there: {fetch_command('Inshop', data_dir)} says how"
    )


SPEC = DatasetSpec(
    name="Inshop",
    load=load_inshop,
    recall_ks=RECALL_KS,
    official={
        "train": SplitSize(3997, 25882),
        "query": SplitSize(3985, 14218),
        "gallery": SplitSize(3985, 12612),
    },
    fetch=fetch_command("Inshop"),
    aliases=("inshop", "InShop", "In-Shop", "inshop_clothes", "Inshop_Clothes"),
)
