"""The programs of docs/library.md, run as they are printed, on a few images."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import HTTPServer
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from entrypoints import ROOT
from printed_commands import blocks

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "library.md"
SEARCH, LOOP, EVALUATE, TRAIN, SERVICE = range(5)


def program(number: int) -> dict:
    """What the program leaves in its namespace; it is none that was started, so that a service does not wait."""
    names = {"__name__": "program"}
    exec(compile(list(blocks(PAGE, "python"))[number], str(PAGE), "exec", dont_inherit=True), names)
    return names


@pytest.fixture(scope="module")
def workplace(digits, tmp_path_factory) -> Path:
    """A directory with ``photos`` and what the training program leaves there."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(digits, folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        program(TRAIN)
    return folder


@pytest.fixture(autouse=True)
def _there(workplace, monkeypatch):
    monkeypatch.chdir(workplace)


def test_there_are_five_short_programs():
    programs = list(blocks(PAGE, "python"))
    assert len(programs) == 5
    assert len(programs[SEARCH].strip().splitlines()) == 10
    assert max(len(text.splitlines()) for text in programs) <= 32


def test_training(workplace):
    assert sorted(path.name for path in (workplace / "logs" / "photos").iterdir()) == ["demo"]
    assert (workplace / "logs" / "photos" / "demo" / "best.pt").is_file()


def test_searching(capsys):
    names = program(SEARCH)
    lines = capsys.readouterr().out.splitlines()
    assert names["embeddings"].shape == (240, 64)
    assert len(lines) == 5
    assert lines[0] == f"{names['photos'][0]}  1.000"  # itself


def test_own_loop(capsys):
    program(LOOP)
    values = [float(line.removeprefix("loss ")) for line in capsys.readouterr().out.splitlines()]
    assert len(values) == 4
    assert values[0] > 0


def test_evaluating(capsys):
    labels = np.repeat(np.arange(4), 5)
    np.savez("embeddings.npz", embeddings=np.eye(4, dtype=np.float32)[labels], labels=labels)
    program(EVALUATE)
    assert capsys.readouterr().out.splitlines() == [
        *(f"recall_at_{k}: 100.0 %" for k in (1, 2, 4)),
        "map_at_r: 100.0 %",
        "nmi: 100.0 %",
    ]


def test_service():
    names = program(SERVICE)
    names["Similar"].log_message = lambda *words: None
    with HTTPServer(("localhost", 0), names["Similar"]) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        photo = Path(names["PHOTOS"][7]).read_bytes()
        with urlopen(f"http://localhost:{server.server_port}", photo, timeout=60) as answer:
            found = json.load(answer)
        thread.join()
    assert [sorted(one) for one in found] == [["photo", "value"]] * 5
    assert found[0]["photo"] == names["PHOTOS"][7]
    assert found[0]["value"] == pytest.approx(1)
