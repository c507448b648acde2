"""Where, when and with which code: the sessions of a run on record."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime, timezone

import pytest
import torch

from dml import __version__
from dml.training.environment import ENVIRONMENT_FILE, code_state, device_name, record_session

CPU = torch.device("cpu")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder ``code`` with one file, committed."""
    if shutil.which("git") is None:
        pytest.skip("no git here")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b.c")
    folder = tmp_path / "repository"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "a.py").write_text("a = 1\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def test_the_commit_and_a_mark_where_the_code_was_changed(repository):
    answer = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True)
    commit = answer.stdout.strip()
    assert code_state(repository / "code") == (commit, False)
    (repository / "notes.txt").write_text("not of the code")
    assert code_state(repository / "code") == (commit, False)
    (repository / "code" / "b.py").write_text("b = 2\n")
    assert code_state(repository / "code") == (commit, True)
    (repository / "code" / "b.py").unlink()
    (repository / "code" / "a.py").write_text("a = 2\n")
    assert code_state(repository / "code") == (commit, True)


def test_no_commit_without_a_repository_or_git(repository, tmp_path, monkeypatch):
    outside = tmp_path / "code"
    outside.mkdir()
    (outside / "a.py").touch()
    assert code_state(outside) == (None, None)
    inside = repository / "unpacked" / "code"  # below a repository that does not hold it
    inside.mkdir(parents=True)
    (inside / "a.py").touch()
    assert code_state(inside) == (None, None)
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert code_state(outside) == (None, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_state(repository / "code") == (None, None)


def test_a_continued_run_keeps_its_first_session(tmp_path, monkeypatch):
    for words in (["train.py", "--lr", "1", "--api-key", "sesame"], ["train.py", "--resume-run", "my run"]):
        monkeypatch.setattr(sys, "argv", words)
        record_session(tmp_path, device=CPU, processes=2)
    text = (tmp_path / ENVIRONMENT_FILE).read_text()
    assert "sesame" not in text
    sessions = json.loads(text)["sessions"]
    assert [session["command"] for session in sessions] == [
        "train.py --lr 1 --api-key '***'",
        "train.py --resume-run 'my run'",
    ]
    first = sessions[0]
    started = datetime.fromisoformat(first["started"])
    assert started.utcoffset().total_seconds() == 0
    assert abs((datetime.now(timezone.utc) - started).total_seconds()) < 60
    assert first["versions"]["torch"] == torch.__version__
    assert first["versions"]["dml"] == __version__
    assert first["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(first["versions"]) == {"dml", "python", "torch", "torchvision"}
    assert (first["device"], first["processes"]) == (device_name(CPU), 2)
    assert device_name(CPU)


def test_a_damaged_file_does_not_stop_a_run(tmp_path):
    (tmp_path / ENVIRONMENT_FILE).write_text('{"sessions": 3')
    with pytest.warns(UserWarning, match=f"{ENVIRONMENT_FILE} is damaged"):
        record_session(tmp_path, device=CPU, processes=1)
    assert len(json.loads((tmp_path / ENVIRONMENT_FILE).read_text())["sessions"]) == 1
