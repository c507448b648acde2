"""Getting a dataset into the data folder: fetched, or from files that the user has already."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from dml.data.archives import extract
from dml.data.catalogue import ORIGINS, Origin, RemoteFile
from dml.data.download import DownloadError, fetch, md5_of
from dml.data.glyphs import prepare_glyphs
from dml.data.layout import data_dir_flag, require_folder
from dml.data.verify import EVERY_DATASET, verify


def install(
    name: str,
    data_dir: Path,
    *,
    url: str | None = None,
    files: Sequence[Path] = (),
    keep_archive: bool = False,
) -> str:
    """Put the dataset ``name`` into ``data_dir`` and say what was done, or what is to be done by hand.

    Args:
        url: fetch from here what has the same file name in the catalogue (a set of one file: that file).
        files: use these files, recognised by their hash, instead of fetching.
        keep_archive: keep what was downloaded after it has been unpacked.

    Raises:
        UnknownNameError, DownloadError, ArchiveError: see there.
        DatasetError: if ``data_dir`` is a file.
        OSError: a file at hand that cannot be read, or a folder that cannot be written to.
    """
    name = EVERY_DATASET.canonical(name)
    if name not in ORIGINS:
        if url or files:
            raise DownloadError(f"dataset {name!r} is not downloaded: leave out --url and --from")
        return f"glyphs are in {prepare_glyphs(data_dir)}" if name == "glyphs" else EVERY_DATASET[name].fetch
    require_folder(data_dir)
    origin = ORIGINS[name]
    if files:
        for file, remote in [(file, identify(file, origin)) for file in files]:
            _put_in_place(file, remote, data_dir)
        return _done(name, data_dir, files)
    if url is None and not verify(name, data_dir).problems:
        return f"{name} is complete already in {data_dir}"
    wanted = [(_matching(url, origin), url)] if url else [(f, f.url) for f in origin.files if f.url]
    if not wanted:
        return origin.steps.format(data_dir=data_dir, data_dir_flag=data_dir_flag(data_dir))
    for remote, address in wanted:
        archive = fetch(address, data_dir / remote.name, md5=remote.md5)
        _put_in_place(archive, remote, data_dir)
        if not keep_archive:
            archive.unlink()
    return _done(name, data_dir, [remote.name for remote, _ in wanted])


def _done(name: str, data_dir: Path, files: Sequence[Path | str]) -> str:
    return (
        f"{name}: {', '.join(map(str, files))} put in place. Check the whole: "
        f"python scripts/verify_dataset.py {name}{data_dir_flag(data_dir)}"
    )


def identify(file: Path, origin: Origin) -> RemoteFile:
    """Which official file ``file`` is: by hash, or by name where no hash is published.

    Raises:
        DownloadError: if it is missing or none of them.
    """
    if not file.is_file():
        raise DownloadError(f"--from: no such file: {file}")
    digest = md5_of(file)
    for remote in origin.files:
        if remote.md5 == digest or (remote.md5 is None and remote.name == file.name):
            return remote
    known = "\n".join(f"  {remote.name} ({remote.md5 or 'no hash known'})" for remote in origin.files)
    raise DownloadError(f"{file} (MD5 {digest}) is none of the official files:\n{known}")


def _matching(url: str, origin: Origin) -> RemoteFile:
    if len(origin.files) == 1:
        return origin.files[0]
    for remote in origin.files:
        if url.split("?")[0].endswith(f"/{remote.name}"):
            return remote
    raise DownloadError(f"--url {url}: must end in one of {', '.join(remote.name for remote in origin.files)}")


def _put_in_place(file: Path, remote: RemoteFile, data_dir: Path) -> None:
    folder = data_dir / remote.folder
    if remote.is_archive:
        extract(file, folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(shutil.SameFileError):  # it lies there already
            shutil.copyfile(file, folder / remote.name)
