"""Archives that try to write where they should not."""

from __future__ import annotations

import contextlib
import errno
import io
import random
import shutil
import tarfile
import zipfile
from pathlib import Path
from unittest import mock

import pytest

from damage import damaged
from dml.data.archives import ArchiveError, extract


def write_tar(path: Path, names: list[str], special: tarfile.TarInfo | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        if special is not None:
            tar.addfile(special)
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"data"))
    return path


def write_zip(path: Path, names: list[str], mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        for name in names:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            zipped.writestr(member, "data")
    return path


def link(name: str, to: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_plain_archives_are_unpacked(tmp_path, write):
    archive = write(tmp_path / "set", ["CUB/images/a.jpg", "CUB/images.txt", "..hidden"])
    for _ in range(2):  # again over what is there
        extract(archive, tmp_path / "out")
    assert (tmp_path / "out/CUB/images/a.jpg").read_bytes() == b"data"
    assert (tmp_path / "out/..hidden").is_file()


def test_without_tarfile_filters(tmp_path, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter")
    monkeypatch.setattr(tarfile.TarFile, "extraction_filter", staticmethod(lambda member, _: member))
    extract(write_tar(tmp_path / "good", ["a/b.txt"]), tmp_path / "out")
    assert (tmp_path / "out/a/b.txt").is_file()
    with pytest.raises(ArchiveError, match="leaves the folder"):
        extract(write_tar(tmp_path / "bad", ["../evil"]), tmp_path / "out")


@pytest.mark.parametrize("write", [write_tar, write_zip])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "C:evil"])
def test_no_member_leaves_the_folder(tmp_path, write, name):
    archive = write(tmp_path / "set", ["good.txt", name])
    with pytest.raises(ArchiveError, match="leaves the folder"):
        extract(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("special", "names"),
    [
        (link("door", "..", tarfile.SYMTYPE), ["door/evil"]),
        (link("door", "/", tarfile.SYMTYPE), []),
        (link("copy", "../secret", tarfile.LNKTYPE), []),
        (link("pipe", "", tarfile.FIFOTYPE), []),
        (link("disk", "", tarfile.BLKTYPE), []),
    ],
    ids=["symlink-and-write", "symlink", "hard-link", "pipe", "device"],
)
def test_links_and_devices_in_tar(tmp_path, special, names):
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(ArchiveError, match="link or device"):
        extract(write_tar(tmp_path / "set", names, special), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_links_in_zip(tmp_path):
    with pytest.raises(ArchiveError, match="link or device"):
        extract(write_zip(tmp_path / "set", ["door"], mode=0o120777), tmp_path / "out")


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_damaged_archives_are_named(tmp_path, write):
    archive = write(tmp_path / "set", [f"{i}.txt" for i in range(200)])
    archive.write_bytes(archive.read_bytes()[:500])
    with pytest.raises(ArchiveError, match=r"cannot unpack .*set"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", "zip"])
def test_whatever_is_damaged_is_one_error(tmp_path, kind):
    """Cut off or with some bytes changed at random, in every compression that is read."""
    rng, path = random.Random(0), tmp_path / "set"
    contents = {f"a/{i}.txt": rng.randbytes(900) for i in range(4)}
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in contents.items():
                zipped.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{kind}") as tar:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    refused = 0
    for changed in damaged(path.read_bytes(), 150):
        path.write_bytes(changed)
        with contextlib.suppress(ArchiveError):
            extract(path, tmp_path / "out")
            refused -= 1
        refused += 1
    assert refused > 50


def test_a_disk_that_fills_is_said_with_the_archive(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "set", ["a"])
    full = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device", "a"))
    monkeypatch.setattr(zipfile.ZipFile, "extract", full)
    with pytest.raises(ArchiveError, match=r"cannot unpack .*set: .*No space left on device"):
        extract(archive, tmp_path / "out")


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ArchiveError, match=r"cannot unpack .*set: .*out"):
        extract(write_zip(tmp_path / "set", ["a"]), tmp_path / "out")


def test_no_space(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ArchiveError, match="GB are needed for"):
        extract(write_tar(tmp_path / "set", ["a"]), tmp_path / "out")
