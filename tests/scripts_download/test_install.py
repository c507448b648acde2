"""scripts/download_dataset.py, on a catalogue of tiny archives served on loopback."""

from __future__ import annotations

import functools
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import download_dataset
from dml.data import glyphs, install
from dml.data.catalogue import ORIGINS, Origin, RemoteFile
from dml.data.verify import Report


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path) -> Path:
    """The folder that ``url`` serves."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with zipfile.ZipFile(folder / "CUB_200_2011.zip", "w") as zipped:
        for name in "abcd":
            zipped.writestr(f"CUB_200_2011/images/{name}/0.jpg", "image")
    return folder


@pytest.fixture
def url(mirror) -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(mirror)))
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def tiny_cub(mirror, url, monkeypatch) -> None:
    archive = mirror / "CUB_200_2011.zip"
    remote = RemoteFile(
        archive.name, md5=hashlib.md5(archive.read_bytes()).hexdigest(), folder="", url=f"{url}/{archive.name}"
    )
    monkeypatch.setitem(install.ORIGINS, "cub", Origin((remote,)))


def run(data: Path, *arguments: str | Path) -> int:
    return download_dataset.main([*map(str, arguments), "--data-dir", str(data)])


def test_download_and_unpack(tiny_cub, tmp_path, capsys):
    data = tmp_path / "data"
    assert run(data, "cub200") == 0
    assert (data / "CUB_200_2011/images/d/0.jpg").is_file()
    assert [path.name for path in data.iterdir()] == ["CUB_200_2011"]
    assert "verify_dataset.py cub" in capsys.readouterr().out


def test_the_archive_is_kept_on_request(tiny_cub, tmp_path):
    assert run(tmp_path / "data", "cub", "--keep-archive") == 0
    assert (tmp_path / "data/CUB_200_2011.zip").is_file()


def test_wrong_hash_is_not_unpacked(tiny_cub, mirror, tmp_path, capsys):
    with zipfile.ZipFile(mirror / "CUB_200_2011.zip", "a") as zipped:
        zipped.writestr("more", "x")
    assert run(tmp_path / "data", "cub") == 1
    assert "MD5 is" in capsys.readouterr().err
    assert list((tmp_path / "data").iterdir()) == []


def test_another_mirror(tiny_cub, mirror, url, tmp_path):
    (mirror / "CUB_200_2011.zip").rename(mirror / "renamed")
    assert run(tmp_path / "data", "cub", "--url", f"{url}/renamed") == 0
    assert (tmp_path / "data/CUB_200_2011/images/a/0.jpg").is_file()


def test_mirror_without_the_file(tiny_cub, url, tmp_path, capsys):
    assert run(tmp_path / "data", "cub", "--url", f"{url}/nothing") == 1
    assert "404" in capsys.readouterr().err


def test_files_at_hand_are_recognised_by_hash(tiny_cub, mirror, tmp_path):
    file = (mirror / "CUB_200_2011.zip").rename(tmp_path / "birds (1).zip")
    assert run(tmp_path / "data", "cub", "--from", file) == 0
    assert (tmp_path / "data/CUB_200_2011/images/a/0.jpg").is_file()
    assert file.is_file()


def test_foreign_files_are_refused(tiny_cub, tmp_path, capsys):
    (tmp_path / "CUB_200_2011.zip").write_text("something else")
    assert run(tmp_path / "data", "cub", "--from", tmp_path / "CUB_200_2011.zip") == 1
    assert "none of the official files" in capsys.readouterr().err
    assert run(tmp_path / "data", "cub", "--from", tmp_path / "nowhere.zip") == 1
    assert "no such file" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("name", "word"), [("cars", "Kaggle"), ("Inshop", "DeepFashion")])
def test_manual_steps_are_printed(tmp_path, name, word, capsys):
    assert run(tmp_path, name) == 0
    out = capsys.readouterr().out
    assert word in out
    assert "--from" in out
    assert str(tmp_path) in out


def test_inshop_from_files_at_hand(tmp_path):
    with zipfile.ZipFile(tmp_path / "img.zip", "w") as zipped:
        zipped.writestr("img/WOMEN/Tees/id_00000001/01_1_front.jpg", "image")
    (tmp_path / "list_eval_partition.txt").write_text("0")
    data = tmp_path / "data"
    assert run(data, "Inshop", "--from", tmp_path / "img.zip", tmp_path / "list_eval_partition.txt") == 0
    assert (data / "Inshop_Clothes/img/WOMEN/Tees/id_00000001/01_1_front.jpg").is_file()
    assert (data / "Inshop_Clothes/Eval/list_eval_partition.txt").is_file()


def test_url_of_one_of_several_files(url, mirror, tmp_path, capsys):
    (mirror / "list_eval_partition.txt").write_text("0")
    assert run(tmp_path / "data", "Inshop", "--url", f"{url}/list_eval_partition.txt") == 0
    assert (tmp_path / "data/Inshop_Clothes/Eval/list_eval_partition.txt").is_file()
    assert run(tmp_path / "data", "Inshop", "--url", f"{url}/other.zip") == 1
    assert "must end in one of img.zip" in capsys.readouterr().err


def test_a_complete_dataset_is_left_alone(tiny_cub, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(install, "verify", lambda name, data_dir: Report([], []))
    assert run(tmp_path / "data", "cub") == 0
    assert "complete already" in capsys.readouterr().out


def test_glyphs_are_rendered(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(glyphs, "LETTERS", {"latin": "ABCD"})
    assert run(tmp_path, "glyphs") == 0
    assert (tmp_path / "glyphs/train").is_dir()
    assert run(tmp_path, "glyphs", "--url", "http://127.0.0.1/") == 1
    assert "not downloaded" in capsys.readouterr().err


def test_folder_says_what_to_do(tmp_path, capsys):
    assert run(tmp_path, "folder") == 0
    assert "one folder per class" in capsys.readouterr().out


def test_unknown_name(tmp_path, capsys):
    assert run(tmp_path, "birds") == 1
    assert "Valid: cub" in capsys.readouterr().err


def test_hashes_of_the_catalogue_are_well_formed():
    remotes = [remote for origin in ORIGINS.values() for remote in origin.files]
    assert all(remote.md5 is None or (len(remote.md5) == 32 and int(remote.md5, 16)) for remote in remotes)
    assert len({remote.name for remote in remotes}) == len(remotes)


def test_a_file_that_lies_in_its_place_already(tmp_path):
    place = tmp_path / "data/Inshop_Clothes/Eval/list_eval_partition.txt"
    place.parent.mkdir(parents=True)
    place.write_text("0")
    assert run(tmp_path / "data", "Inshop", "--from", place) == 0
    assert place.read_text() == "0"


def test_a_file_at_hand_that_cannot_be_read(tmp_path, capsys, monkeypatch):
    (tmp_path / "img.zip").write_text("a file")
    refused = PermissionError(13, "Permission denied", str(tmp_path / "img.zip"))
    monkeypatch.setattr(install, "md5_of", lambda _: (_ for _ in ()).throw(refused))
    assert run(tmp_path / "data", "Inshop", "--from", tmp_path / "img.zip") == 1
    assert f"error: [Errno 13] Permission denied: '{tmp_path / 'img.zip'}'" in capsys.readouterr().err
