from __future__ import annotations

from tiny_images import write_classes

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


def test_unreadable_images_are_found_on_request(tmp_path, capsys):
    write_classes(tmp_path, ["a", "b", "c", "d"])
    (tmp_path / "c" / "0.jpg").write_text("damaged")
    arguments = ["folder", "--data-dir", str(tmp_path)]
    assert verify_dataset.main(arguments) == 0
    assert verify_dataset.main([*arguments, "--images"]) == 1
    assert "1 unreadable: cannot read image" in capsys.readouterr().out


def test_missing_dataset(tmp_path, capsys):
    assert verify_dataset.main(["cars", "--data-dir", str(tmp_path)]) == 1
    assert "python scripts/download_dataset.py cars" in capsys.readouterr().out


def test_unknown_name(capsys):
    assert verify_dataset.main(["nothing"]) == 1
    assert "glyphs" in capsys.readouterr().err
