"""Downloads by FTP, from a server on loopback that behaves badly on request."""

from __future__ import annotations

import hashlib
import shutil
import urllib.request
import zipfile
from collections.abc import Iterator

import pytest
from ftp_server import FtpServer

import download_dataset
from dml.data import download, install
from dml.data.catalogue import Origin, RemoteFile
from dml.data.download import DownloadError, fetch

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()
TWO_THIRDS = len(CONTENT) * 2 // 3


@pytest.fixture
def server(monkeypatch) -> Iterator[FtpServer]:
    monkeypatch.delenv("ftp_proxy", raising=False)
    server = FtpServer(CONTENT)
    yield server
    server.close()


def test_whole_file(server, tmp_path):
    assert fetch(server.url, tmp_path / "set.zip", md5=MD5).read_bytes() == CONTENT
    assert server.folders == [["cs", "some group"]]
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


@pytest.mark.parametrize("unknown", [set(), {"SIZE"}, {"SIZE", "MDTM"}])
def test_a_broken_connection_is_resumed(server, tmp_path, unknown):
    server.break_after, server.unknown = [TWO_THIRDS, 1000], unknown
    assert fetch(server.url, tmp_path / "set.zip", md5=MD5, pause=0).read_bytes() == CONTENT
    assert server.starts == [0, TWO_THIRDS, TWO_THIRDS + 1000]


def test_a_later_call_resumes(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 0)
    server.break_after = [TWO_THIRDS]
    with pytest.raises(DownloadError, match=f"{TWO_THIRDS:,} bytes have come; run the command again to go on"):
        fetch(server.url, tmp_path / "set.zip", md5=MD5)
    assert fetch(server.url, tmp_path / "set.zip", md5=MD5).read_bytes() == CONTENT
    assert server.starts == [0, TWO_THIRDS]
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_a_server_without_rest_sends_it_again_and_that_is_said(server, tmp_path, capsys):
    server.break_after, server.unknown = [TWO_THIRDS], {"REST"}
    assert fetch(server.url, tmp_path / "set.zip", md5=MD5, pause=0).read_bytes() == CONTENT
    assert server.starts == [0, 0]
    assert "the server sends the file as a whole only, so it begins again" in capsys.readouterr().out


def test_a_file_that_changed_between_the_attempts_is_fetched_anew(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "RETRIES", 0)
    server.break_after = [TWO_THIRDS]
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path / "set.zip")
    server.content, server.changed = CONTENT[::-1], "20230101120000"
    monkeypatch.setattr(download, "RETRIES", 1)
    assert fetch(server.url, tmp_path / "set.zip", pause=0).read_bytes() == CONTENT[::-1]
    assert "the file on the server has changed" in capsys.readouterr().out


def test_complete_and_too_long_parts(server, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    assert fetch(server.url, tmp_path / "set.zip", md5=MD5).read_bytes() == CONTENT
    assert server.starts == []
    (tmp_path / "other.zip.part").write_bytes(CONTENT + b"more")
    assert fetch(server.url, tmp_path / "other.zip", md5=MD5, pause=0).read_bytes() == CONTENT


def test_a_missing_file_is_not_asked_for_twice(server, tmp_path):
    server.missing = True
    with pytest.raises(DownloadError, match="the server answers 550 no such file"):
        fetch(server.url, tmp_path / "set.zip")


def test_no_space(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match="GB are needed for"):
        fetch(server.url, tmp_path / "set.zip")


def test_a_proxy_for_ftp_is_spoken_to_by_http(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 0)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it knows the proxies of when it was made
    monkeypatch.setenv("ftp_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(DownloadError, match="refused"):
        fetch(server.url, tmp_path / "set.zip")
    assert server.starts == []


def test_the_command_goes_on_where_the_line_broke(tmp_path, monkeypatch, capsys):
    """Called twice, as a user does whose line broke for good at two thirds."""
    archive = tmp_path / "products.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for split in ("train", "test"):
            zipped.writestr(f"Stanford_Online_Products/Ebay_{split}.txt", "image_id " * 20_000)
    content = archive.read_bytes()
    server = FtpServer(content)
    remote = RemoteFile("products.zip", md5=hashlib.md5(content).hexdigest(), folder="", url=server.url)
    monkeypatch.setitem(install.ORIGINS, "SOP", Origin((remote,)))
    monkeypatch.setattr(download, "RETRIES", 0)
    server.break_after = [len(content) * 2 // 3]
    command = ["SOP", "--data-dir", str(tmp_path / "data")]
    assert download_dataset.main(command) == 1
    assert "run the command again to go on" in capsys.readouterr().err
    assert download_dataset.main(command) == 0
    server.close()
    assert server.starts == [0, len(content) * 2 // 3]
    assert (tmp_path / "data/Stanford_Online_Products/Ebay_test.txt").is_file()
