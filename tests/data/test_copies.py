"""Images that are the same image."""

from __future__ import annotations

import numpy as np

from dml.data import copies
from dml.data.copies import same_image, same_image_in
from dml.data.findings import findings
from dml.data.records import ImageRecords, PixelRecords, RetrievalData


def _records(folder, contents: dict[str, bytes]) -> ImageRecords:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return ImageRecords(tuple(f"{folder}/{name}" for name in contents), np.zeros(len(contents), np.int64), ("a",))


def test_files_of_equal_content_share_a_number_over_all_parts(tmp_path):
    first = _records(tmp_path, {"a": b"one", "b": b"two", "c": b"one", "d": b"longer"})
    second = _records(tmp_path, {"e": b"two", "f": b"six"})
    numbers = same_image(first, second)
    assert [part.tolist() for part in numbers] == [[0, 1, 0, 2], [1, 3]]


def test_a_file_listed_twice_or_behind_a_link_is_one(tmp_path):
    records = _records(tmp_path, {"a": b"one", "b": b"other"})
    (tmp_path / "link").symlink_to(tmp_path / "a")
    twice = ImageRecords((*records.paths, records.paths[0], f"{tmp_path}/link"), np.zeros(4, np.int64), ("a",))
    assert same_image(twice)[0].tolist() == [0, 1, 0, 0]


def test_missing_and_empty_files(tmp_path):
    records = _records(tmp_path, {"a": b"", "b": b""})
    gone = ImageRecords((*records.paths, f"{tmp_path}/x", f"{tmp_path}/y"), np.zeros(4, np.int64), ("a",))
    assert same_image(gone)[0].tolist() == [0, 0, 1, 2]


def test_images_in_memory(tmp_path):
    pixels = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (1, 2, 1)])
    records = PixelRecords(("0", "1", "2"), np.zeros(3, np.int64), ("a",), pixels=pixels)
    assert same_image(records)[0].tolist() == [0, 1, 0]


def test_files_that_begin_alike_are_read_to_their_ends(tmp_path):
    start = bytes(3 * 2**20)
    records = _records(tmp_path, {"a": start + b"x", "b": start + b"y", "c": start + b"x"})
    assert same_image(records)[0].tolist() == [0, 1, 0]


def test_the_images_of_a_data_set_are_looked_at_once(tmp_path, monkeypatch):
    train, query = _records(tmp_path, {"a": b"one", "b": b"two"}), _records(tmp_path, {"c": b"one", "d": b"one"})
    data, looks = RetrievalData("folder", train, query, None, None, ()), []

    def looking(*parts):
        looks.append(parts)
        return same_image(*parts)

    monkeypatch.setattr(copies, "same_image", looking)
    found = same_image_in(data)
    assert {split: numbers.tolist() for split, numbers in found.items()} == {"train": [0, 1], "test": [0, 0]}
    assert same_image_in(data) is found and any("copy of another" in line for line in findings(data))
    assert len(looks) == 1
