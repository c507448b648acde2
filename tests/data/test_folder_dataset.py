from __future__ import annotations

from pathlib import Path

import pytest
from tiny_images import write_classes, write_image, write_lying

from dml.data import DatasetError, DatasetNotFoundError, load_dataset
from dml.data.images import image_of

CLASSES = ["ant", "bee", "cat", "dog", "eel"]


def write_csv(path: Path, text: str) -> Path:
    for name in "abcdefgh":
        write_image(path.parent / "img" / f"{name}.png")
    path.write_text(text, encoding="utf-8-sig")  # with the byte order mark of spreadsheets
    return path


def test_class_folders_are_halved_by_name(tmp_path):
    write_classes(tmp_path, CLASSES)
    write_image(tmp_path / "ant" / "deeper" / "2.png")
    data = load_dataset("folder", tmp_path)
    assert data.train.class_names == ("ant", "bee")
    assert data.query.class_names == ("cat", "dog", "eel")
    assert len(data.train) == 5
    assert data.gallery is None


def test_train_and_test_folders(tmp_path):
    write_classes(tmp_path / "train", CLASSES[:3])
    write_classes(tmp_path / "test", CLASSES[3:])
    write_classes(tmp_path / "val", ["fox", "gnu"])
    data = load_dataset("folder", tmp_path)
    assert (data.train.num_classes, data.query.class_names) == (3, ("dog", "eel"))
    assert data.val.class_names == ("fox", "gnu")


def test_query_and_gallery_folders_share_labels(tmp_path):
    write_classes(tmp_path / "train", CLASSES[:2])
    write_classes(tmp_path / "query", ["dog", "eel"], per_class=1)
    write_classes(tmp_path / "gallery", ["cat", "dog", "eel"], per_class=1)
    data = load_dataset("folder", tmp_path)
    assert data.query.class_names == data.gallery.class_names == ("cat", "dog", "eel")
    assert data.query.labels.tolist() == [1, 2]
    assert data.gallery.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("given", ["file", "folder"])
def test_csv_without_splits(tmp_path, given):
    rows = "".join(f"img/{name}.png,{label}\n" for name, label in zip("abcdefgh", "xxyyzzww", strict=True))
    path = write_csv(tmp_path / "list.csv", "path,label\n" + rows)
    data = load_dataset("folder", path if given == "file" else tmp_path)
    assert data.train.class_names == ("w", "x")
    assert data.query.class_names == ("y", "z")


def test_csv_with_splits(tmp_path):
    splits = ["train", "train", "query", "query", "gallery", "gallery", "val", "val"]
    rows = "".join(
        f"img/{name}.png,{label},{split}\n" for name, label, split in zip("abcdefgh", "xyzwzwuv", splits, strict=True)
    )
    data = load_dataset("folder", write_csv(tmp_path / "list.csv", "path,label,split\n" + rows))
    assert data.train.class_names == ("x", "y")
    assert data.query.labels.tolist() == data.gallery.labels.tolist() == [1, 0]
    assert data.val.class_names == ("u", "v")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nimg/a.png,x\nimg/nowhere.png,y\n", r"list\.csv, line 3: no such file: .*nowhere\.png"),
        ("place,label\nimg/a.png,x\n", "no column 'path'; its columns: place, label"),
        ("", "no column 'label'"),
        ("path,label\n", "lists no images"),
        ("path,label\nimg/a.png,\n", "line 2: path or label is empty"),
        ("path,label\nimg/a.png\n", "line 2: path or label is empty"),
        ("path,label,split\nimg/a.png,x,tset\n", "line 2: split 'tset' is none of train, test"),
        ("path,label,split\nimg/a.png,x\n", "line 2: split '' is none of"),
        ("path,label\nimg/a.png,x\n", r"1 class\(es\) in .*list\.csv: at least 4"),
        ("path,label,split\nimg/a.png,x,train\nimg/b.png,y,train\n", "no split 'gallery'"),
        (
            "path,label,split\nimg/a.png,x,train\nimg/b.png,y,train\nimg/c.png,z,test\nimg/d.png,w,query\n",
            "splits 'test' and 'query'",
        ),
        (
            "path,label,split\nimg/a.png,x,train\nimg/b.png,y,train\nimg/c.png,z,test\n",
            r"1 class\(es\) in .*split 'test'",
        ),
    ],
)
def test_bad_csv_is_explained(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        load_dataset("folder", write_csv(tmp_path / "list.csv", text))


def test_csv_in_another_encoding_is_named(tmp_path):
    (tmp_path / "list.csv").write_bytes("path,label\nimg/a.png,Bär\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"list\.csv is no CSV file in UTF-8"):
        load_dataset("folder", tmp_path)


def test_several_csv_files_are_ambiguous(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("path,label\n")
    with pytest.raises(DatasetError, match="2 CSV files"):
        load_dataset("folder", tmp_path)


def test_no_images(tmp_path):
    with pytest.raises(DatasetError, match="no images in"):
        load_dataset("folder", tmp_path)


def test_one_class_only(tmp_path):
    write_classes(tmp_path, ["ant"])
    with pytest.raises(DatasetError, match=r"1 class\(es\).*found: ant"):
        load_dataset("folder", tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="one folder per class"):
        load_dataset("folder", tmp_path / "nowhere")


def test_neither_folder_nor_csv(tmp_path):
    with pytest.raises(DatasetError, match=r"neither a folder nor a \.csv"):
        load_dataset("folder", write_image(tmp_path / "a.png"))


@pytest.mark.parametrize("layout", ["classes", "splits", "csv"])
def test_images_are_turned_upright(tmp_path, layout):
    names = {"classes": "abcd", "splits": ["train/a", "train/b", "query/c", "query/d", "gallery/c", "gallery/d"]}
    files = [write_lying(tmp_path / name / f"{i}.jpg") for name in names.get(layout, "abcd") for i in range(2)]
    if layout == "csv":
        (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"{f},{f.parent.name}\n" for f in files))
    data = load_dataset("folder", tmp_path, val_split=0.5, val_by_images=True)
    splits = [data.train, data.query, data.val, *([data.gallery] if layout == "splits" else [])]
    assert [image_of(records, 0).size for records in splits] == [(6, 8)] * len(splits)
