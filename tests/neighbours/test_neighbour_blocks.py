"""Blocks of scores: candidates, counts, what is near, against whole sorted rows."""

from __future__ import annotations

import pytest
import torch

from dml.neighbours import ScoreBlock, SimilarityScores, score_blocks


def padded(rows, columns, seed=0):
    memory = torch.full((rows, -(-columns // 16) * 16), -torch.inf)
    memory[:, :columns] = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    return memory


@pytest.mark.parametrize("columns", [1, 15, 64, 3001])
@pytest.mark.parametrize("k", [1, 12])
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_candidates_hold_what_reaches_the_kth(columns, k, margin):
    memory, k = padded(6, columns), torch.tensor([k, 1, k, 2, k, k]).clamp_max(columns)
    memory[3, : columns // 2] = -torch.inf  # left out
    memory[4, : columns // 3] = 5.0  # equal, more than are worth a look
    if columns > 100:
        memory[0, 2990:3001] += 10.0  # the last ones
        memory[1, ::188] += 10.0  # in one group
    found = ScoreBlock(memory, columns, margin, limit=200).candidates(k)
    for i, row in enumerate(memory[:, :columns]):
        reach = (row >= row.sort(descending=True).values[k[i] - 1] - margin) & (row > -torch.inf)
        assert reach.sum() <= found.num[i] <= 2 * reach.sum() + 16
        if found.num[i] > 200:
            assert (columns, i) == (3001, 4)
            assert (found.values[i] == -torch.inf).all()
            continue
        there = found.values[i] > -torch.inf
        assert int(there.sum()) == found.num[i]
        assert set(reach.nonzero().squeeze(1).tolist()) <= set(found.columns[i][there].tolist())
        assert torch.equal(row[found.columns[i][there]], found.values[i][there])
        assert torch.equal(found.values[i].sort(descending=True).values, found.values[i])


def test_counts_and_what_is_near():
    memory = padded(5, 9001)
    block = ScoreBlock(memory, 9000, 0.01, limit=100)
    memory[:, 9000:] = 100.0  # is no part of the block
    rows, value = torch.tensor([4, 1]), torch.tensor([0.5, -1.0])
    scores = memory[rows, :9000]
    assert block.count_above(value, rows).tolist() == (scores > value[:, None]).sum(1).tolist()
    position, columns = block.near(value, rows)
    near = (scores > value[:, None] - 0.01) & (scores <= value[:, None] + 0.01)
    assert torch.equal(torch.stack([position, columns], 1), near.nonzero())


@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_blocks_hold_the_scores_of_their_rows(chunk):
    embeddings = torch.randn(21, 5, generator=torch.Generator().manual_seed(1))
    scores = SimilarityScores(embeddings, embeddings, exclude=torch.arange(21))
    rows = torch.tensor([20, 3, 3, 0, 7])
    seen = []
    for part, block in score_blocks(scores, rows, torch.float32, longest=1, num_bytes=2**20, chunk=chunk):
        torch.testing.assert_close(block.scores, scores.block(part, torch.float32))
        seen += part.tolist()
    assert seen == rows.tolist()
    assert not list(score_blocks(scores, rows[:0], torch.float32, longest=1, num_bytes=1))
