"""Lists of images and labels as people and spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_images import write_classes, write_image

from dml.data import DatasetError, load_dataset
from dml.data.classification import load_classification
from dml.data.own_splits import UNSPLIT
from dml.data.own_table import lists_in, read_table, table_in


def write_table(folder: Path, text: str, name: str = "list.csv", encoding: str = "utf-8") -> Path:
    """A table beside ``img/a.png`` … ``img/d.png``."""
    for image in "abcd":
        write_image(folder / "img" / f"{image}.png")
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def classes_in(table: Path) -> dict[str, list[str]]:
    """Split → the class of each image."""
    splits = read_table(table)
    return {split: [records.class_names[label] for label in records.labels] for split, records in splits.items()}


@pytest.mark.parametrize(
    "text",
    [
        "path,label\nimg/a.png,x\nimg/b.png,y\n",
        "path;label\nimg/a.png;x\nimg/b.png;y\n",
        "path\tlabel\nimg/a.png\tx\nimg/b.png\ty\n",
        "path|label\nimg/a.png|x\nimg/b.png|y\n",
        "sep=;\npath;label\nimg/a.png;x\nimg/b.png;y\n",
        " Path , LABEL \n img/a.png , x \nimg/b.png,y  \n",
        "\n\npath,label\n\nimg/a.png,x\n , \nimg/b.png,y\n\n",
        "\r\n".join(["path,label,,", "img/a.png,x,,", "img/b.png,y,,", ",,,"]),
        "path,label\rimg/a.png,x\rimg/b.png,y\r",
        "label,colour,path\nx,red,img/a.png\ny,blue,img/b.png\n",
        "filename,class\nimg/a.png,x\nimg/b.png,y\n",
        "image,Category,label\nimg/a.png,1,x\nimg/b.png,2,y\n",
        "path,label\nimg\\a.png,x\n.\\img\\b.png,y\n",
        '"path", "label"\n"img/a.png", "x"\n"img/b.png", "y"\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_one_list_however_it_is_written(tmp_path, text, encoding):
    table = write_table(tmp_path, text, encoding=encoding)
    assert classes_in(table) == {UNSPLIT: ["x", "y"]}
    assert [Path(path).resolve() for path in read_table(table)[UNSPLIT].paths] == [
        (tmp_path / "img" / name).resolve() for name in ("a.png", "b.png")
    ]
    assert table_in(tmp_path) == table


def test_labels_with_commas_and_paths_from_elsewhere(tmp_path):
    elsewhere = write_image(tmp_path / "other" / "e.png")
    text = (
        f'path,label,split\nimg/a.png,"Rose, red",Train\n{elsewhere}, "Bär" ,TESTING\nimg/b.png,Ba\u0308r,validation\n'
    )
    assert classes_in(write_table(tmp_path / "list", text)) == {"train": ["Rose, red"], "test": ["Bär"], "val": ["Bär"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nimg/a.png,x\nimg/b.png,Rose, red\n", 'line 3: 3 values .* a comma .* marks: "Rose, red"'),
        ("path;label;split\nimg/a.png;Oak; cork;train\n", 'line 2: 4 values .* a semicolon .* marks: "Oak; cork"'),
        ("label,path\nRose, red,img/a.png\n", 'needs quotation marks: "Rose, red"'),
        ("id,colour\n1,red\n", "no column 'label'; its columns: id, colour. Line 1 must be path,label"),
        ("id;path\n1;img/a.png\n", "no column 'label'; its columns: id, path"),
        ("path,label,Label\nimg/a.png,x,y\n", "the columns 'label' and 'Label' may both be 'label'"),
        ("image,filename,label\nimg/a.png,a,y\n", "the columns 'image' and 'filename' may both be 'path'"),
        ('path,label\nimg/a.png,"x\nimg/b.png,"y\n', "line 2: a quotation mark is opened and not closed"),
        ("path,label\nC:\\photos\\a.png,x\n", r"line 2: no such file: .* \(a path of Windows"),
        ("path,label\nimg,x\n", "line 2: no such file"),
        ("path,label\n\nimg/a.png, \n", "line 3: path or label is empty"),
        ("path,label,split\nimg/a.png,x,trian\n", "line 2: split 'trian' is none of train, test, val, query, gallery"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read_table(write_table(tmp_path, text))


def test_a_table_that_lists_no_images_is_not_meant(tmp_path):
    write_classes(tmp_path / "classes", ["ant", "bee", "cat", "dog"], per_class=4)
    write_table(tmp_path / "classes", "id,colour\n1,red\n", "metadata.csv")
    write_table(tmp_path / "classes", "", "empty.csv")
    for load in (load_dataset, load_classification):
        assert load("folder", tmp_path / "classes").train.class_names[0] == "ant"
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "metadata.csv").write_text("id,colour\n1,red\n")
    with pytest.raises(DatasetError, match=r"metadata\.csv has no column 'label'; its columns: id, colour"):
        load_dataset("folder", alone)


def test_of_several_tables_the_one_that_lists_images(tmp_path):
    first = write_table(tmp_path, "path,label\nimg/a.png,x\n", "list.CSV")
    (tmp_path / "metadata.csv").write_text("id,colour\n1,red\n")
    assert table_in(tmp_path) == first
    second = write_table(tmp_path, "file\tlabel\nimg/a.png\tx\n", "more.tsv")
    assert lists_in(tmp_path) == [first, second]
    with pytest.raises(DatasetError, match=r"2 CSV files that list images \(list\.CSV, more\.tsv\): name one"):
        table_in(tmp_path)


def test_a_classifier_reads_lists_too(tmp_path):
    for name in "abcdefgh":
        write_image(tmp_path / "img" / f"{name}.png")
    rows = [f"img/{name}.png,{label}" for name, label in zip("abcdefgh", "xxxxyyyy", strict=True)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    data = load_classification("folder", tmp_path)
    assert (data.train.class_counts().tolist(), data.test.class_counts().tolist()) == ([3, 3], [1, 1])
    splits = ["train", "train", "test", "val", "train", "train", "val", "val"]
    (tmp_path / "list.csv").write_text(
        "\n".join(["path,label,split", *(f"{r},{s}" for r, s in zip(rows, splits, strict=True))])
    )
    data = load_classification("folder", tmp_path / "list.csv")
    assert data.train.class_counts().tolist() == [2, 2]
    assert (data.test.labels.tolist(), data.val.labels.tolist()) == ([0], [0, 1, 1])
    assert data.train.upright and data.test.upright and data.val.upright
    (tmp_path / "list.csv").write_text(f"path,label,split\n{rows[0]},query\n")
    with pytest.raises(DatasetError, match="no split 'train': give train, and test or val"):
        load_classification("folder", tmp_path)
