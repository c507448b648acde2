"""The published source networks, fetched from a server on loopback."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from dml.data.download import DownloadError
from dml.models import create_model
from dml.models.published_sources import PUBLISHED_SOURCES, fetch_source

ROOT = Path(__file__).resolve().parents[2]
NAME = "resnet50/cub_resnet50_512dim_Proxy_Anchor_ckpt.pth"
PAGE = b"<!DOCTYPE html><html>Google Drive - Virus scan warning</html>"


@pytest.fixture(scope="module")
def checkpoint() -> bytes:
    """A published file: weights under ``model_state_dict``, every key below ``model.``."""
    network = create_model("resnet18", embedding_size=8, pretrained=False)
    state = {f"model.{key}": value for key, value in network.backbone.state_dict().items()}
    state |= {f"model.embedding.{key}": value for key, value in network.embedding.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"model_state_dict": state}, buffer)
    return buffer.getvalue()


@pytest.fixture
def server():
    """Answers every request with ``server.content``, from where it is asked to; remembers the paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            http.asked.append((self.path, start))
            body = http.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(http.content) - 1}/{len(http.content)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.asked, http.content = [], b""
    http.address = f"http://127.0.0.1:{http.server_port}/" + "{id}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield http
    http.shutdown()
    http.server_close()


def test_a_checkpoint_is_fetched_once(server, checkpoint, tmp_path):
    server.content = checkpoint
    for _ in range(2):
        assert "resnet18, 8-d" in fetch_source(NAME, tmp_path, address=server.address)
    assert server.asked == [(f"/{PUBLISHED_SOURCES[NAME]}", 0)]
    assert (tmp_path / NAME).read_bytes() == checkpoint
    assert [path.name for path in (tmp_path / "resnet50").iterdir()] == [Path(NAME).name]


def test_an_interrupted_download_goes_on(server, checkpoint, tmp_path):
    server.content = checkpoint
    part = tmp_path / (NAME + ".unchecked.part")
    part.parent.mkdir()
    part.write_bytes(checkpoint[:1000])
    fetch_source(NAME, tmp_path, address=server.address)
    assert server.asked[0][1] == 1000
    assert (tmp_path / NAME).read_bytes() == checkpoint


def test_a_web_page_in_place_of_a_checkpoint_is_refused(server, tmp_path):
    server.content = PAGE
    with pytest.raises(DownloadError, match=r"a web page.*by hand from https://drive.google.com"):
        fetch_source(NAME, tmp_path, address=server.address)
    assert not list((tmp_path / "resnet50").iterdir())


def test_a_damaged_file_of_the_name_is_named(tmp_path):
    target = tmp_path / NAME
    target.parent.mkdir()
    target.write_bytes(PAGE)
    with pytest.raises(DownloadError, match=f"{Path(NAME).name}.*Remove that file"):
        fetch_source(NAME, tmp_path)


def test_the_command_tries_all_and_tells_which_failed(server, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("download", ROOT / "scripts" / "download_source_models.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server.content = PAGE
    arguments = ["--folder", str(tmp_path), "--address", server.address]
    assert module.main(arguments) == 1
    assert capsys.readouterr().err.count("is no checkpoint") == 6
    assert [path for path, _ in server.asked] == [f"/{file_id}" for file_id in PUBLISHED_SOURCES.values()]


def test_it_runs_by_sh():
    script = ROOT / "scripts" / "download_pretrained_source_models.sh"
    done = subprocess.run(
        ["sh", script, "--help"], capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable}
    )
    assert done.returncode == 0
    assert "--only" in done.stdout
