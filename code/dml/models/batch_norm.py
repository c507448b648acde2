"""Batch normalisation that does not depend on how many processes share a batch."""

from __future__ import annotations

from torch import Tensor, nn

from dml.processes import gather_rows, rank, world_size


class GlobalBatchNorm1d(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` by the mean and variance of the rows of all processes, on any device.

    Rows travel as they are, B · F numbers a step from each process, so that the statistics are those of one process
    to the digit; every process must bring equally many. For the few rows of a head: of feature maps that were too much.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """(B, F) → (B, F), this process's."""
        if not self.training or world_size() == 1:
            return super().forward(rows)
        share = len(rows)
        return super().forward(gather_rows(rows))[rank() * share :][:share]
