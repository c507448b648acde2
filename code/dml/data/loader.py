"""From a plan of index batches to batches of tensors, the same whatever the number of workers or processes."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dml.data.images import ImageDataset, SampleKey, collate
from dml.errors import UserError
from dml.signals import STOP_SIGNALS
from dml.structures import Batch

DEATH_IS_TOLD = 5.0  # seconds within which the system tells of a process's end, however busy it is
AT_ONCE = 4  # images of 224 × 224 numbers are a MB or two


class PlannedBatches(Sampler[list[SampleKey]]):
    """Yields this process's share of each planned batch, every image with a random seed of its own.

    The seed is a function of (run seed, epoch, batch number, position in the batch), so augmentation depends
    neither on the number of workers, nor on that of processes, nor on where a resumed run begins.

    Args:
        seed: of the run.
        rank: of this process among ``world_size``; each takes a consecutive slice of every batch.
    """

    def __init__(self, *, seed: int = 0, rank: int = 0, world_size: int = 1):
        super().__init__()
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.set_epoch(np.empty((0, 0), dtype=np.int64), 0)

    def set_epoch(self, plan: Sequence[Sequence[int]], epoch: int, first: int = 0) -> None:
        """Take the batches ``plan[first:]`` of ``epoch`` next.

        Raises:
            UserError: a batch that the processes cannot share equally.
        """
        for batch in plan[:1]:
            self.check_share(len(batch))
        self.plan, self.epoch, self.first = plan, epoch, first

    def check_share(self, images: int) -> None:
        """UserError unless the processes can share a batch of so many images equally."""
        if images % self.world_size:
            raise UserError(
                f"a batch of {images} images cannot be shared equally by {self.world_size} processes:"
                f" choose a --batch-size whose batches {self.world_size} divides"
                " (whole classes of --IPC images, or neighbourhoods of --num-neighbors, may make them smaller)"
            )

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for number in range(self.first, len(self.plan)):
            indices = np.asarray(self.plan[number])
            seeds = _seeds(len(indices), self.seed, self.epoch, number)
            share = len(indices) // self.world_size
            mine = slice(self.rank * share, (self.rank + 1) * share)
            yield [SampleKey(*key) for key in zip(indices[mine].tolist(), seeds[mine].tolist(), strict=True)]

    def __len__(self) -> int:
        return len(self.plan) - self.first


def _seeds(count: int, *entropy: int) -> np.ndarray:
    """(count,) uint64 seeds in 0..2⁶³−1, which follow from ``entropy`` alone."""
    return np.random.SeedSequence(entropy).generate_state(count, np.uint64) >> np.uint64(1)  # torch seeds are signed


def _seeded(indices: range, seed: int, count: int) -> list[SampleKey]:
    """The images at ``indices`` of ``count``, each with a seed of its own."""
    seeds = _seeds(count, seed)
    return [SampleKey(index, int(seeds[index])) for index in indices]


class LoadingError(UserError, OSError):
    """The processes that load images died, or cannot hand over what they loaded."""


class Loader(DataLoader[Batch]):
    """A ``DataLoader`` whose images are on the device, and that says what became of its processes, and what helps.

    Args:
        dataset: of ``Sample``; what its ``scale``, if it has one, is to do with images is done on the device.
        device: where the images are wanted; labels and indices stay on the CPU.
        options: of ``DataLoader``.

    Raises:
        LoadingError: while it is iterated over.
    """

    def __init__(self, dataset: Dataset, *, device: torch.device, **options: Any):
        super().__init__(
            dataset,
            collate_fn=collate,
            pin_memory=device.type == "cuda",
            generator=torch.Generator().manual_seed(0),  # its own, so that the global one, which is resumed, is let be
            worker_init_fn=_quiet_worker,
            **options,
        )
        self.device = device
        self.scale: Callable[[Tensor], Tensor] | None = getattr(dataset, "scale", None)

    def __iter__(self) -> Iterator[Batch]:
        try:
            with _sigterm_blocked():  # loading processes inherit it, and so does every thread of theirs
                batches = super().__iter__()
            for batch in batches:
                yield self._with_images_there(batch)
        except (ConnectionError, EOFError) as error:  # of a process that dies while a batch is taken over from it
            if (death := _awaited_death()) is None or (reason := loading_error_of(death)) is None:
                raise
            raise reason from error
        except RuntimeError as error:
            if (reason := loading_error_of(error)) is None:
                raise
            raise reason from error

    def _with_images_there(self, batch: Batch) -> Batch:
        images = batch.images.to(self.device, non_blocking=True)
        return replace(batch, images=images if self.scale is None else _scaled(images, self.scale))


def _scaled(images: Tensor, scale: Callable[[Tensor], Tensor]) -> Tensor:
    """``scale(images)``; on a CPU a few images at a time, what the cache holds: in a third of the time."""
    if images.device.type != "cpu":
        return scale(images)
    first, *others = images.split(AT_ONCE)
    done = scale(first)
    whole = done.new_empty((len(images), *done.shape[1:]))
    whole[: len(first)] = done
    for number, part in enumerate(others, start=1):
        whole[number * AT_ONCE :][: len(part)] = scale(part)
    return whole


def _awaited_death() -> RuntimeError | None:
    """What torch says of a loading process that has just died, as soon as the system has told it; None: of none."""
    try:
        end = time.monotonic() + DEATH_IS_TOLD
        while time.monotonic() < end:
            time.sleep(0.02)
    except RuntimeError as death:
        return death
    return None


def loading_error_of(error: RuntimeError) -> LoadingError | None:
    """What torch's ``error`` means, if it is about loading processes, which it raises wherever the program stands."""
    text = str(error)
    if "Too many open files" in text or "ancdata" in text:
        return LoadingError(
            "too many files are open to load images by several processes: `ulimit -n 65536` before the command allows"
            " more, fewer --workers need fewer"
        )
    if "shared memory" in text or "Bus error" in text:
        return LoadingError(
            f"the loading processes cannot hand over their batches: shared memory (/dev/shm){_room()} is full. Fewer"
            " --workers or a smaller --batch-size need less, --workers 0 none; a container gets more by --shm-size 8g"
            " or --ipc=host"
        )
    if "DataLoader worker" in text and ("killed by signal" in text or "exited unexpectedly" in text):
        how = text.partition("killed by signal: ")[2].partition(".")[0]
        return LoadingError(
            f"a loading process was killed{how and f' ({how})'}, by the system if memory ran out: fewer --workers need"
            " less, --workers 0 loads without such processes"
        )
    return None


def _room() -> str:
    try:
        return f", of {shutil.disk_usage('/dev/shm').total / 2**20:,.0f} MiB in all,"
    except OSError:
        return ""


def _quiet_worker(_: int) -> None:
    """Leave signals to the main process, which finishes its step and saves; schedulers send them to all processes.

    SIGTERM stays deadly where the main process sends it, to end its workers.
    """
    for number in STOP_SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "setpgid"):  # not on Windows
        os.setpgid(0, 0)
    if hasattr(signal, "sigwaitinfo"):  # Linux
        threading.Thread(target=_end_for, args=(os.getppid(),), daemon=True).start()


@contextmanager
def _sigterm_blocked() -> Iterator[None]:
    """SIGTERM waits until the block is left, and stays blocked in the processes that are forked within it.

    Blocked in one thread of such a process it would still end it by any other.
    """
    if not hasattr(signal, "sigwaitinfo"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_for(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def train_loader(dataset: Dataset, batches: PlannedBatches, *, workers: int, device: torch.device) -> Loader:
    """Loads the planned batches of ``dataset``; its workers live on from epoch to epoch."""
    return Loader(dataset, device=device, batch_sampler=batches, num_workers=workers, persistent_workers=workers > 0)


def eval_loader(
    dataset: ImageDataset,
    *,
    batch_size: int,
    workers: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
    seed: int | None = None,
) -> Loader:
    """Loads every ``world_size``-th image of ``dataset`` from ``rank`` on, in order, in batches.

    A process for which there is none loads the first one all the same. Loading processes end with each pass: to start
    one costs a tenth of a second of processor time, to keep them their memory beside those that train.

    Args:
        seed: of random transforms, each image's its own whatever the number of workers or processes; None: there are
            none.
    """
    indices = range(rank, len(dataset), world_size) or range(min(1, len(dataset)))
    return Loader(
        dataset,
        device=device,
        sampler=indices if seed is None else _seeded(indices, seed, len(dataset)),
        batch_size=batch_size,
        num_workers=workers,
    )
