"""Keeps a run such that it can go on: saves it where it stands, stops it in order, takes it up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from lightning_fabric import Fabric

from dml.data.images import UnreadableImageError
from dml.evaluation.answers import Answers
from dml.tracking import Tracker, say
from dml.training.checkpoint import Checkpoints, TrainingState
from dml.training.interrupt import Interrupted, InterruptGuard, stopping_in_order
from dml.training.peers import Peers
from dml.training.selection import Selection, write_results

WHOLE_DAY = 86_400


class Keeper:
    """Where a run stands, and what of it is kept.

    Args:
        fabric: the run's.
        peers: its processes.
        guard: holds signals back.
        checkpoints: writes and reads the files.
        tracker, folder, selection, answers, keep_best, resume_hint, mend_hint: as of ``Trainer``.
    """

    def __init__(
        self,
        fabric: Fabric,
        peers: Peers,
        guard: InterruptGuard,
        checkpoints: Checkpoints,
        *,
        tracker: Tracker,
        folder: Path,
        selection: Selection,
        answers: Mapping[str, Answers],
        keep_best: bool,
        resume_hint: str,
        mend_hint: str | None,
    ):
        self.fabric, self.peers, self.guard, self.checkpoints = fabric, peers, guard, checkpoints
        self.tracker, self.folder, self.selection, self.answers = tracker, folder, selection, answers
        self.keep_best, self.resume_hint, self.mend_hint = keep_best, resume_hint, mend_hint
        self.state = TrainingState()

    @contextmanager
    def between_steps(self) -> Iterator[None]:
        """What stops this is begun again when the run goes on, with the random state that it began with."""
        self.checkpoints.note_random_state(self.state)
        with self.guard.immediately():
            yield

    def save(self, best: Sequence[str] = ()) -> None:
        """Write last.pt, before it the files ``best`` of what this epoch is the best in, and the summary for people."""
        self.checkpoints.note_random_state(self.state)
        with self.guard.holding():
            self._write(best)

    def _write(self, best: Sequence[str] = ()) -> None:
        state = self.state
        record_size = self.tracker.size() if self.fabric.is_global_zero else 0
        self.checkpoints.save(state, best=best if self.keep_best else (), record_size=record_size)
        if self.fabric.is_global_zero and state.best and state.latest_epoch == state.epoch:
            write_results(self.folder, state, self.selection, self.answers)

    def stopping_in_order(self, *, saving: bool = True) -> AbstractContextManager[None]:
        """What stops the block from outside leaves a saved run, and the way to continue it is said.

        Args:
            saving: False where a run that goes on from here would have missed something.

        Raises:
            Interrupted, OSError: see ``dml.training.interrupt.stopping_in_order``.
        """
        return stopping_in_order(
            self.guard, lambda error, torn, together: self._stop(error, save=saving and not torn, together=together)
        )

    def _stop(self, error: Exception, *, save: bool, together: bool) -> None:
        """Save a stopped run where it stands, in the middle of an epoch if need be, and say how to continue it."""
        done = "last.pt is as it was saved last" if (self.folder / "last.pt").exists() else "nothing is saved yet"
        interrupted, by_an_image = isinstance(error, Interrupted), isinstance(error, UnreadableImageError)
        what = "Interrupted" if interrupted else "Stopped by an image" if by_an_image else "Stopped"
        hint = (self.mend_hint if by_an_image else None) or f"Continue with:\n  {self.resume_hint}"
        with self.guard.holding():
            try:
                if save and (together or self.peers.number == 1) and not self.checkpoints.has_noted(self.state):
                    self.checkpoints.note_random_state(self.state)
                if save and self.checkpoints.has_noted(self.state):
                    self._write()
                    done = f"{self.state.epoch} epochs and {self.state.batches_done} batches are saved"
            finally:  # a full disk can be what stops the run, or what it meets when it is stopped
                if self.fabric.is_global_zero or not interrupted:  # the process that met the file knows of it
                    say(f"{what}: {done}. {hint}")
        if interrupted:  # while the first writes; one that was signalled alone does not wait long
            self.peers.leave(10 if self.fabric.is_global_zero else WHOLE_DAY if together else 60)

    def resume(self, path: Path, *, is_due: Callable[[int], bool]) -> None:
        """Continue from ``path``, or from the beginning if no epoch had been completed.

        Args:
            is_due: whether an epoch, counted from 1, ends with an evaluation.

        Raises:
            UserError: not a checkpoint of this run.
        """
        record_size = 0
        if path.exists():
            self.state, record_size = self.checkpoints.load(path)
            told = f"Continuing after {self.state.epoch} epochs and {self.state.batches_done} batches"
            if (evaluated := self.state.latest_epoch) and not is_due(evaluated):
                told += (
                    f". Epoch {evaluated} was evaluated as the last one of a shorter training: that stays on record,"
                    " and it may be the best"
                )
        else:
            told = f"{path} is not there: no epoch was completed, so the run begins again"
        if self.fabric.is_global_zero:
            self.tracker.rewind(record_size)
            say(told)
