from __future__ import annotations

import shutil

import pytest
from tiny_images import only_usual_formats, write_classes, write_image

import verify_dataset


def test_whole_dataset(tmp_path, capsys):
    write_classes(tmp_path, ["a", "b", "c", "d"])
    assert verify_dataset.main(["folder", "--data-dir", str(tmp_path), "--images"]) == 0
    out = capsys.readouterr().out
    assert "folder, train: 2 classes, 4 images" in out
    assert "all is well" in out


def test_unofficial_size_is_a_problem(tmp_path, capsys):
    write_classes(tmp_path / "cub200/images", ["a", "b", "c", "d"])
    assert verify_dataset.main(["cub", "--data_dir", str(tmp_path)]) == 1
    assert "official 100 classes, 5,864 images" in capsys.readouterr().out


def test_listed_but_missing_files_are_named(tmp_path, capsys):
    root = tmp_path / "Stanford_Online_Products"
    write_classes(root, ["chair_final"], per_class=2)
    for split in ("train", "test"):
        rows = f"1 1 1 chair_final/0.jpg\n2 2 1 chair_final/lost_{split}.jpg\n"
        (root / f"Ebay_{split}.txt").write_text("image_id class_id super_class_id path\n" + rows)
    assert verify_dataset.main(["SOP", "--data-dir", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "2 listed but missing" in out
    assert "lost_train.jpg" in out


@pytest.mark.parametrize(("name", "root"), [("folder", "."), ("cub", "cub200/images")])
def test_unreadable_images_are_found_on_request(tmp_path, name, root):
    write_classes(tmp_path / root, ["a", "b", "c", "d"])
    damaged = [write_image(tmp_path / root / "c" / f"{i}.jpg") for i in range(12)]
    for path in damaged:
        path.write_text(f"damaged {path}")
    assert not any("unreadable" in problem for problem in verify_dataset.verify(name, tmp_path).problems)
    (told,) = (p for p in verify_dataset.verify(name, tmp_path, open_images=True).problems if "unreadable" in p)
    assert told.startswith("12 unreadable:")
    assert all(f"cannot read image {path}: it is no image" in told for path in damaged)


def test_copies_of_a_benchmark_are_counted_and_no_problem_of_their_own(tmp_path, capsys):
    write_classes(tmp_path / "cub200/images", ["a", "b", "c", "d"])
    shutil.copy(tmp_path / "cub200/images/a/0.jpg", tmp_path / "cub200/images/d/copy.jpg")
    report = verify_dataset.verify("cub", tmp_path)
    assert report.summary[-1] == "cub: 1 of 9 images are copies of others, byte for byte"
    assert all("official" in problem for problem in report.problems)


def test_missing_dataset(tmp_path, capsys):
    assert verify_dataset.main(["cars", "--data-dir", str(tmp_path)]) == 1
    assert "python scripts/download_dataset.py cars" in capsys.readouterr().out


def test_unknown_name(capsys):
    assert verify_dataset.main(["nothing"]) == 1
    assert "glyphs" in capsys.readouterr().err


def test_a_folder_without_classes(tmp_path, capsys):
    for name in ("a.jpg", "trip/b.jpg", "trip/c.jpg", "trip/d.jpg", "trip/e.jpg"):
        write_image(tmp_path / name)
    arguments = ["folder", "--data-dir", str(tmp_path), "--images"]
    assert verify_dataset.main(arguments) == 0
    assert "without classes (images lie directly in it): 5 images" in capsys.readouterr().out
    (tmp_path / "trip" / "b.jpg").write_text("damaged")
    assert verify_dataset.main(arguments) == 1
    assert "b.jpg" in capsys.readouterr().out


@pytest.mark.parametrize("parents", [["."], ["train", "val"]])
def test_a_folder_that_only_a_classifier_can_use(tmp_path, capsys, parents):
    for parent in parents:
        write_classes(tmp_path / parent, ["cat", "dog"], per_class=4)
    arguments = ["folder", "--data-dir", str(tmp_path), "--images"]
    assert verify_dataset.main(arguments) == 0
    assert "folder, to be classified, test: 2 classes" in capsys.readouterr().out
    (tmp_path / parents[0] / "dog" / "3.jpg").write_text("damaged")
    assert verify_dataset.main(arguments) == 1
    assert "3.jpg" in capsys.readouterr().out


def test_a_damaged_list_is_not_passed_over_for_class_folders(tmp_path, capsys):
    write_classes(tmp_path, ["cat", "dog"], per_class=4)
    (tmp_path / "list.csv").write_text("path,label\nlost.jpg,cat\n")
    assert verify_dataset.main(["folder", "--data-dir", str(tmp_path)]) == 1
    assert "no such file" in capsys.readouterr().out


def test_what_is_left_out_is_a_problem(tmp_path, capsys, monkeypatch):
    only_usual_formats(monkeypatch)
    write_classes(tmp_path, ["a", "b", "c", "d"])
    (tmp_path / "a" / "1.heic").touch()
    assert verify_dataset.main(["folder", "--data-dir", str(tmp_path)]) == 1
    assert "problem: " in (out := capsys.readouterr().out)
    assert "1 file is not read as images (1 .heic)" in out


def test_what_is_left_out_is_said_where_nothing_is_left(tmp_path, capsys, monkeypatch):
    only_usual_formats(monkeypatch)
    (tmp_path / "photo.heic").touch()
    assert verify_dataset.main(["folder", "--data-dir", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "no images in" in out
    assert "1 .heic" in out
