"""A fault of the program leaves its traceback in the run."""

from __future__ import annotations

import pytest

from dml.data.images import UnreadableImageError
from dml.errors import UserError, notes_of
from dml.training.faults import TRACEBACK_FILE, keeping_traceback
from dml.training.interrupt import Interrupted


def fail(folder, error, process=0):
    with pytest.raises(type(error)) as raised, keeping_traceback(folder, process=process, resume_hint="train --on"):
        raise error
    return notes_of(raised.value)


def test_each_process_adds_its_own_and_says_how_to_go_on(tmp_path):
    first = fail(tmp_path, ValueError("shapes (3,) and (4,)"))
    file = tmp_path / TRACEBACK_FILE
    assert first == [f"The traceback is in {file}.", "Stopped: nothing is saved yet. Continue with:\n  train --on"]
    (tmp_path / "last.pt").touch()
    assert "last.pt is as it was saved last" in fail(tmp_path, KeyError("x"), process=1)[1]
    written = file.read_text()
    assert written.count("Traceback (most recent call last)") == 2
    assert written.index("process 0") < written.index("ValueError: shapes (3,) and (4,)") < written.index("process 1")
    assert "test_faults.py" in written


@pytest.mark.parametrize(
    "error", [UserError("--lr"), UnreadableImageError("a.jpg"), OSError(28, "No space left"), Interrupted()]
)
def test_what_the_user_can_mend_or_asked_for_leaves_none(tmp_path, error):
    assert fail(tmp_path, error) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_hides_nothing(tmp_path):
    notes = fail(tmp_path / "gone", RuntimeError("x"))
    assert len(notes) == 1 and "train --on" in notes[0]
