"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): the official python archives, unpacked or not, or folders of images."""

from __future__ import annotations

import tarfile
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dml.data.archives import UNREADABLE
from dml.data.catalogue import ORIGINS
from dml.data.classification.folders import load_splits
from dml.data.classification.pickled import UnsafePickleError, load_pickle
from dml.data.classification.structure import ClassificationData
from dml.data.download import md5_of
from dml.data.layout import (
    DatasetError,
    DatasetSpec,
    DatasetWarning,
    SplitSize,
    class_folders,
    fetch_command,
    find_root,
)
from dml.data.records import PixelRecords

SIDE = 32
MAX_BYTES = 1 << 28  # of one file; the largest official one has 155 MB


@dataclass(frozen=True)
class CifarFiles:
    """Names within one of the two archives.

    Attributes:
        name: the data set's name in the registry, under which ``ORIGINS`` knows the archive.
        folder: inside the archive.
        train, test: files of images.
        meta: file of the class names.
        labels: their key in a file of images.
        names: the class names' key in ``meta``.
    """

    name: str
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels: str
    names: str

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read."""
        return (*self.train, self.test, self.meta)


CIFAR10_FILES = CifarFiles(
    name="cifar10",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{i}" for i in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    labels="labels",
    names="label_names",
)
CIFAR100_FILES = CifarFiles(
    name="cifar100",
    folder="cifar-100-python",
    train=("train",),
    test="test",
    meta="meta",
    labels="fine_labels",
    names="fine_label_names",
)


def load_cifar(files: CifarFiles, data_dir: Path) -> ClassificationData:
    """The data set in one of three forms, looked for in ``data_dir/<name>/`` and in ``data_dir``:

    * the folder of the archive, or its files themselves;
    * the archive: its hash is checked, and it is read where it is, nothing is unpacked;
    * ``train/<class>/`` and ``test/<class>/`` with image files.

    The first two hold all pixels in memory: 3,072 bytes an image.

    Raises:
        DatasetNotFoundError: if it is not there.
        DatasetError: files that are damaged, unsafe to read, or of another data set.

    Warns:
        DatasetWarning: an archive that is not the official one.
    """
    root = find_root(
        files.name,
        data_dir,
        (files.name,),
        lambda place: _form(files, place) is not None,
        f"{files.folder}/, {_archive(files)} or train/ and test/",
    )
    form = _form(files, root)
    if form == "images":
        return load_splits(files.name, root)
    if form == "archive":
        contents = _from_archive(files, root / _archive(files), data_dir)
    else:
        contents = _from_folder(files, root)
    pickles = {name: _unpickled(content, root, name) for name, content in contents.items()}
    names = _class_names(pickles[files.meta].get(files.names), root / files.meta)
    train = [_records(pickles[name], names, files, name) for name in files.train]
    return ClassificationData(
        files.name,
        _joined(train) if len(train) > 1 else train[0],
        _records(pickles[files.test], names, files, files.test),
    )


def _archive(files: CifarFiles) -> str:
    return ORIGINS[files.name].files[0].name


def _folder(files: CifarFiles, place: Path) -> Path | None:
    return next((folder for folder in (place / files.folder, place) if (folder / files.meta).is_file()), None)


def _form(files: CifarFiles, place: Path) -> str | None:
    """In which form the data set is in ``place``; None: it is not."""
    if _folder(files, place) is not None:
        return "folder"
    if (place / _archive(files)).is_file():
        return "archive"
    return "images" if class_folders(place / "train") and class_folders(place / "test") else None


def _from_folder(files: CifarFiles, place: Path) -> dict[str, bytes]:
    folder = _folder(files, place)
    for name in files.files:
        path = folder / name
        if not path.is_file():
            raise DatasetError(f"{folder} lacks the file {name}: unpack the archive again")
        _require_size(path.stat().st_size, path)
    return {name: (folder / name).read_bytes() for name in files.files}


def _from_archive(files: CifarFiles, archive: Path, data_dir: Path) -> dict[str, bytes]:
    official = ORIGINS[files.name].files[0]
    if md5_of(archive) != official.md5:
        warnings.warn(f"{archive} is not the official archive, whose MD5 is {official.md5}", DatasetWarning)
    contents = {}
    try:
        with tarfile.open(archive) as tar:
            for name in files.files:
                member = tar.getmember(f"{files.folder}/{name}")
                _require_size(member.size, archive / name)
                file = tar.extractfile(member) if member.isfile() else None
                if file is None:
                    raise DatasetError(f"{archive}: {name} is no plain file")
                contents[name] = file.read()
    except KeyError as error:
        raise DatasetError(f"{archive}: {error.args[0]}") from error
    except DatasetError:
        raise
    except UNREADABLE as error:
        again = fetch_command(files.name, data_dir)
        raise DatasetError(f"{archive} is damaged: {error}. Remove it and fetch it again: {again}") from error
    return contents


def _require_size(size: int, path: Path) -> None:
    if size > MAX_BYTES:
        raise DatasetError(f"{path} has {size:,} bytes; no file of CIFAR has more than {MAX_BYTES:,}")


def _unpickled(content: bytes, root: Path, name: str) -> dict[str, Any]:
    try:
        return load_pickle(content)
    except UnsafePickleError as error:
        raise DatasetError(f"{root}: the file {name} is refused: {error}") from error


def _class_names(names: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(isinstance(name, bytes | str) for name in names):
        raise DatasetError(f"{path} holds no list of class names")
    return tuple(name.decode("latin-1") if isinstance(name, bytes) else name for name in names)


def _records(content: dict[str, Any], names: tuple[str, ...], files: CifarFiles, name: str) -> PixelRecords:
    """One file of images: rows of 3 × 32 × 32 bytes, channel by channel."""
    data, labels = content.get("data"), content.get(files.labels)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3 * SIDE * SIDE:
        raise DatasetError(f"{files.name}: {name} holds no images of {SIDE} × {SIDE} pixels under 'data'")
    if not isinstance(labels, list) or len(labels) != len(data) or any(type(label) is not int for label in labels):
        raise DatasetError(f"{files.name}: {name} holds no {files.labels!r} for its {len(data)} images")
    paths = tuple(f"{files.folder}/{name}[{i}]" for i in range(len(data)))
    pixels = np.ascontiguousarray(data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    try:
        return PixelRecords(paths, np.array(labels, np.int64), names, pixels)
    except (ValueError, OverflowError) as error:
        raise DatasetError(f"{files.name}: {name}: {error}") from error


def _joined(parts: list[PixelRecords]) -> PixelRecords:
    return PixelRecords(
        tuple(path for part in parts for path in part.paths),
        np.concatenate([part.labels for part in parts]),
        parts[0].class_names,
        np.concatenate([part.pixels for part in parts]),
    )


def _spec(files: CifarFiles, classes: int) -> DatasetSpec:
    return DatasetSpec(
        name=files.name,
        load=partial(load_cifar, files),
        official={"train": SplitSize(classes, 50_000), "test": SplitSize(classes, 10_000)},
        fetch=fetch_command(files.name),
    )


CIFAR10, CIFAR100 = _spec(CIFAR10_FILES, 10), _spec(CIFAR100_FILES, 100)
