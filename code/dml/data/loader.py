"""From a plan of index batches to batches of tensors, the same whatever the number of workers or processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from dml.data.images import ImageDataset, SampleKey, collate
from dml.structures import Batch


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
            ValueError: a batch that the processes cannot share equally.
        """
        for batch in plan[:1]:
            self.check_share(len(batch))
        self.plan, self.epoch, self.first = plan, epoch, first

    def check_share(self, images: int) -> None:
        """ValueError unless the processes can share a batch of so many images equally."""
        if images % self.world_size:
            raise ValueError(
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


def _quiet_worker(_: int) -> None:
    """Leave signals to the process group to the main process, which finishes its step and saves.

    SIGTERM itself stays deadly: it is how the main process ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgid"):  # not on Windows
        os.setpgid(0, 0)


def _own_generator() -> torch.Generator:
    """For a loader's internal draws, so that loading leaves torch's global generator, which is resumed, alone."""
    return torch.Generator().manual_seed(0)


def train_loader(dataset: ImageDataset, batches: PlannedBatches, *, workers: int, pin_memory: bool) -> DataLoader:
    """Loads the planned batches of ``dataset``; its workers live on from epoch to epoch."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        generator=_own_generator(),
        worker_init_fn=_quiet_worker,
    )


def eval_loader(
    dataset: ImageDataset,
    *,
    batch_size: int,
    workers: int,
    pin_memory: bool,
    rank: int = 0,
    world_size: int = 1,
    seed: int | None = None,
) -> DataLoader[Batch]:
    """Loads every ``world_size``-th image of ``dataset`` from ``rank`` on, in order, in batches.

    Args:
        seed: of random transforms, each image's its own whatever the number of workers or processes; None: there are
            none.
    """
    indices = range(rank, len(dataset), world_size)
    return DataLoader(
        dataset,
        sampler=indices if seed is None else _seeded(indices, seed, len(dataset)),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        generator=_own_generator(),
        worker_init_fn=_quiet_worker,
    )
