"""Stanford Online Products: 22,634 products (Song et al., CVPR 2016); official split by product."""

from __future__ import annotations

from pathlib import Path

from dml.data.layout import (
    DatasetSpec,
    SplitSize,
    fetch_command,
    find_root,
    join_paths,
    read_table,
    require_classes,
    table_numbers,
)
from dml.data.records import ImageRecords, RetrievalData

RECALL_KS = (1, 10, 100, 1000)
FOLDERS = ("Stanford_Online_Products", "online_products", "sop", "SOP")
LISTS = ("Ebay_train.txt", "Ebay_test.txt")


def load_sop(data_dir: Path) -> RetrievalData:
    """Stanford Online Products as unpacked from its archive, or LSD's ``images/`` with ``Info_Files/``.

    Raises:
        DatasetNotFoundError: if no folder with the two lists is found.
        DatasetError: if a list is damaged.
    """
    root = find_root(
        "SOP",
        data_dir,
        FOLDERS,
        lambda p: all((_list_folder(p) / name).is_file() for name in LISTS),
        "Ebay_train.txt and Ebay_test.txt (beside the images or under Info_Files/)",
    )
    images = root / "images" if _list_folder(root) != root else root
    train, test = (_read_list(_list_folder(root) / name, images) for name in LISTS)
    return RetrievalData("SOP", train, test, None, None, RECALL_KS)


def _list_folder(root: Path) -> Path:
    return root / "Info_Files" if (root / "Info_Files").is_dir() else root


def _read_list(path: Path, images: Path) -> ImageRecords:
    # Header and columns: image_id class_id super_class_id path
    table = read_table(path, 4, num_skipped=4)
    records = ImageRecords.from_classes(join_paths(images, table[:, 3]), table_numbers(table[:, 1], path))
    require_classes(records, path)
    return records


SPEC = DatasetSpec(
    name="SOP",
    load=load_sop,
    recall_ks=RECALL_KS,
    official={"train": SplitSize(11318, 59551), "query": SplitSize(11316, 60502)},
    fetch=fetch_command("SOP"),
    aliases=("sop", "online_products", "Stanford_Online_Products"),
)
