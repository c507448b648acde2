"""Classification data sets: the official archives without running what they say, class folders, holding out."""

from __future__ import annotations

import pickle
import tarfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_images import write_classes, write_lying

from dml.data import DatasetError, DatasetNotFoundError, DatasetWarning
from dml.data.catalogue import ORIGINS, Origin
from dml.data.classification import cifar, load_classification
from dml.data.classification.pickled import UnsafePickleError, load_pickle
from dml.data.classification.splits import hold_out_images
from dml.data.download import md5_of
from dml.data.images import image_of
from dml.data.install import install
from dml.data.records import ImageRecords, PixelRecords
from dml.data.verify import verify

NAMES = [f"class {c}" for c in range(10)]
RUN = []  # what a hostile pickle would add to


def rows_of(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def as_python2(content: dict[str, object]) -> bytes:
    """A pickle as Python 2 wrote the official files: protocol 2, text as byte strings."""

    def emit(value: object) -> bytes:
        if isinstance(value, np.ndarray):
            raw = value.tobytes()
            return b"".join(
                [
                    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01(",
                    *(b"J" + size.to_bytes(4, "little") for size in value.shape),
                    b"tcnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
                    b"I00\nT" + len(raw).to_bytes(4, "little") + raw + b"tb",
                ]
            )
        if isinstance(value, list):
            return b"](" + b"".join(map(emit, value)) + b"e"
        if isinstance(value, int):
            return b"K" + bytes([value])
        return b"U" + bytes([len(value)]) + value.encode()

    return b"\x80\x02}(" + b"".join(emit(key) + emit(value) for key, value in content.items()) + b"u."


def as_python3(content: dict[str, object]) -> bytes:
    return pickle.dumps(content, protocol=4)


def write_cifar10(folder: Path, dump=as_python2, per_batch: int = 20) -> np.ndarray:
    """The five batches, the test batch and the class names; returns the first batch's rows."""
    folder.mkdir(parents=True)
    labels = [i % 10 for i in range(per_batch)]
    for seed, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        (folder / name).write_bytes(dump({"data": rows_of(per_batch, seed), "labels": labels}))
    (folder / "batches.meta").write_bytes(dump({"label_names": NAMES}))
    return rows_of(per_batch, 0)


def load(name: str, data_dir: Path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)
        return load_classification(name, data_dir, **options)


@pytest.mark.parametrize("dump", [as_python2, as_python3])
def test_cifar10_unpacked(tmp_path, dump):
    rows = write_cifar10(tmp_path / "cifar-10-batches-py", dump)
    data = load("cifar10", tmp_path)
    assert (len(data.train), len(data.test), data.val) == (100, 20, None)
    assert data.train.class_names == data.test.class_names == tuple(NAMES)
    assert data.train.labels[:20].tolist() == [i % 10 for i in range(20)]
    image = np.asarray(image_of(data.train, 3))  # row: all red, all green, all blue values
    np.testing.assert_array_equal(image, rows[3].reshape(3, 32, 32).transpose(1, 2, 0))


def test_the_archive_is_read_where_it_is_and_its_hash_checked(tmp_path):
    write_cifar10(tmp_path / "made" / "cifar-10-batches-py")
    (tmp_path / "data" / "cifar10").mkdir(parents=True)
    with tarfile.open(tmp_path / "data" / "cifar10" / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
    with pytest.warns(DatasetWarning, match="c58f30108f718f92721af3b95e74349a"):
        data = load_classification("cifar10", tmp_path / "data")
    assert len(data.train) == 100
    assert [path.name for path in (tmp_path / "data" / "cifar10").iterdir()] == ["cifar-10-python.tar.gz"]


def test_an_official_archive_is_installed_and_read(tmp_path, monkeypatch, recwarn):
    write_cifar10(tmp_path / "cifar-10-batches-py")
    archive = tmp_path / "download.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")
    official = replace(ORIGINS["cifar10"].files[0], md5=md5_of(archive))
    monkeypatch.setitem(ORIGINS, "cifar10", Origin((official,)))
    assert "put in place" in install("cifar10", tmp_path / "data", files=[archive])
    assert len(load_classification("cifar10", tmp_path / "data").train) == 100
    assert not [warning for warning in recwarn if "MD5" in str(warning.message)]
    report = verify("cifar10", tmp_path / "data", open_images=True)
    assert report.summary == ["cifar10, train: 10 classes, 100 images", "cifar10, test: 10 classes, 20 images"]
    assert len(report.problems) == 2  # sizes only


def test_a_file_that_would_fill_the_memory_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "MAX_BYTES", 1000)
    write_cifar10(tmp_path / "cifar-10-batches-py")
    with pytest.raises(DatasetError, match=r"data_batch_1 has [\d,]+ bytes"):
        load("cifar10", tmp_path)


def test_cifar100_takes_the_fine_labels(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test"):
        content = {"data": rows_of(4, 0), "coarse_labels": [0, 0, 0, 0], "fine_labels": [0, 1, 2, 1]}
        (folder / name).write_bytes(as_python2(content))
    (folder / "meta").write_bytes(as_python2({"coarse_label_names": ["x"], "fine_label_names": NAMES[:3]}))
    assert load("cifar100", folder).train.labels.tolist() == [0, 1, 2, 1]


class Hostile:
    def __reduce__(self):
        return RUN.append, ("ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"data": Hostile()}), "can run code"),
        (b"cos\nsystem\n(S'true'\ntR.", "names posix.system|names os.system"),
        (pickle.dumps({"data": np.zeros(3)}, protocol=4), "none of bytes"),
        (pickle.dumps({"data": np.array([RUN], dtype=object)}, protocol=4), "none of bytes"),
        (as_python2({"data": rows_of(2, 0)})[:-40], "damaged"),
        (as_python2({"data": rows_of(2, 0)}).replace(b"J\x02\x00\x00\x00", b"J\x03\x00\x00\x00"), "do not fill"),
        (pickle.dumps([1]), "no dictionary"),
        (b"", "damaged"),
    ],
    ids=["method", "system", "floats", "objects", "cut", "shape", "list", "empty"],
)
def test_hostile_and_damaged_pickles(content, message):
    with pytest.raises(UnsafePickleError, match=message):
        load_pickle(content)
    assert not RUN


def test_a_refused_file_is_named(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    write_cifar10(folder)
    (folder / "data_batch_2").write_bytes(pickle.dumps({"data": Hostile()}))
    with pytest.raises(DatasetError, match=r"data_batch_2 is refused.*can run code"):
        load("cifar10", tmp_path)
    (folder / "data_batch_2").unlink()
    with pytest.raises(DatasetError, match="lacks the file data_batch_2"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": rows_of(2, 0)[:, :100].copy(), "labels": [0, 1]}, "32 × 32"),
        ({"data": rows_of(2, 0), "labels": [0]}, "holds no 'labels' for its 2 images"),
        ({"data": rows_of(2, 0), "labels": [0, 10]}, "labels must lie in"),
    ],
)
def test_contents_that_do_not_fit(tmp_path, content, message):
    write_cifar10(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(as_python2(content))
    with pytest.raises(DatasetError, match=message):
        load("cifar10", tmp_path)


def test_a_damaged_archive(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"\x1f\x8b sign in")
    with pytest.raises(DatasetError, match="is damaged"):
        load("cifar10", tmp_path)


def test_cifar_as_image_folders(tmp_path):
    write_classes(tmp_path / "train", ["b", "a"])
    write_classes(tmp_path / "test", ["b"])
    data = load("cifar10", tmp_path)
    assert data.train.class_names == data.test.class_names == ("a", "b")
    assert data.test.labels.tolist() == [1, 1]


def test_what_is_not_there_is_said_with_its_command(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"download_dataset\.py cifar100"):
        load("cifar100", tmp_path)
    with pytest.raises(DatasetNotFoundError, match="one folder per class"):
        load("folder", tmp_path / "nowhere")


@pytest.mark.parametrize("folder", ["imagenet", "imagenet-1k"])
def test_imagenet(tmp_path, folder):
    write_classes(tmp_path / folder / "train", ["n01", "n02"])
    (tmp_path / folder / "val").mkdir()
    with pytest.raises(DatasetError, match="no class folders"):
        load("imagenet", tmp_path)
    write_classes(tmp_path / folder / "val", ["n01", "n02"], per_class=1)
    with pytest.warns(DatasetWarning, match=r"train: found 2 classes, 4 images; official 1,000 classes, 1,281,167"):
        data = load_classification("imagenet", tmp_path)
    assert data.test.labels.tolist() == [0, 1]


def test_folder_with_splits(tmp_path):
    write_classes(tmp_path / "train", ["a", "b", "c"])
    write_classes(tmp_path / "val", ["a", "c"])
    data = load("folder", tmp_path)
    assert (data.test.labels.tolist(), data.val) == ([0, 0, 2, 2], None)
    write_classes(tmp_path / "test", ["b"])
    data = load("folder", tmp_path)
    assert (data.test.labels.tolist(), data.val.labels.tolist()) == ([1, 1], [0, 0, 2, 2])
    with pytest.raises(DatasetError, match="own validation split"):
        load("folder", tmp_path, val_split=0.5)
    write_classes(tmp_path / "test", ["z"])
    with pytest.raises(DatasetError, match="training has no class z"):
        load("folder", tmp_path)


def test_only_ones_own_images_are_turned_upright(tmp_path):
    for split in ("train", "val"):
        for name in ("a", "b"):
            write_lying(tmp_path / split / name / "0.jpg")
    with pytest.warns(DatasetWarning, match="class folder holds no image"):
        (tmp_path / "val" / "empty").mkdir()
        own = load_classification("folder", tmp_path)
    assert image_of(own.train, 0).size == image_of(own.test, 0).size == (6, 8)
    named = load("imagenet", tmp_path)
    assert image_of(named.train, 0).size == image_of(named.test, 0).size == (8, 6)


def test_one_folder_of_classes_is_split_alike_for_every_seed(tmp_path):
    write_classes(tmp_path, ["a", "b"], per_class=10)
    data = load("folder", tmp_path, seed=1)
    assert data.test.class_counts().tolist() == [2, 2]
    assert not set(data.train.paths) & set(data.test.paths)
    assert load("folder", tmp_path, seed=2).test.paths == data.test.paths
    held = load("folder", tmp_path, val_split=0.25, seed=1)
    assert held.val.class_counts().tolist() == [2, 2]
    assert set(held.train.paths) | set(held.val.paths) == set(data.train.paths)
    assert held.train.upright and held.val.upright and held.test.upright


def test_holding_out():
    labels = np.array([0] * 4 + [1] * 10 + [2] * 2)
    records = ImageRecords(tuple(map(str, range(16))), labels, ("a", "b", "c"))
    rest, held = hold_out_images(records, 0.3, seed=0, flag="--val-split")
    assert held.class_counts().tolist() == [1, 3, 1]
    assert sorted([*rest.paths, *held.paths], key=int) == list(records.paths)
    assert hold_out_images(records, 0.3, seed=0, flag="--val-split")[1].paths == held.paths
    assert hold_out_images(records, 0.9, seed=0, flag="--val-split")[0].class_counts().min() == 1
    with pytest.raises(DatasetError, match="images enough"):
        hold_out_images(records, 0.01, seed=0, flag="--val-split")
    with pytest.raises(DatasetError, match=r"--val-split 1.5: give a share between 0 and 1"):
        hold_out_images(records, 1.5, seed=0, flag="--val-split")


def test_pixels_travel_with_their_records():
    pixels = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    records = PixelRecords(tuple("wxyz"), np.array([0, 1, 2, 1]), ("a", "b", "c"), pixels)
    chosen = records.select([3, 2])
    assert (chosen.labels.tolist(), chosen.class_names) == ([0, 1], ("b", "c"))
    np.testing.assert_array_equal(chosen.pixels, pixels[[3, 2]])
    with pytest.raises(ValueError, match="uint8 pixels"):
        PixelRecords(tuple("wxyz"), records.labels, records.class_names, pixels[:3])
