"""The cross-batch memory against a list of rows, and by its invariants."""

from __future__ import annotations

import pytest
import torch

from dml.losses.memory import ClassMeanMemory, CrossBatchMemory

K, D, C = 11, 3, 4


def batches(number: int, most: int = 5):
    """Batches of up to ``most`` rows with random rows to keep, none and all included."""
    generator = torch.Generator().manual_seed(0)
    for step in range(number):
        rows = int(torch.randint(1, most + 1, (), generator=generator))
        keep = torch.rand(rows, generator=generator) < (0.0, 1.0, 0.6)[step % 3]
        yield torch.randn(rows, D, generator=generator), torch.randint(C, (rows,), generator=generator), keep


def test_rows_are_where_the_published_rule_puts_them():
    memory, rows, pointer = CrossBatchMemory(size=K, embedding_size=D), [None] * K, 0
    wraps = 0
    for features, labels, keep in batches(60):
        memory.enqueue(features, labels, keep)
        new = list(zip(features[keep].tolist(), labels[keep].tolist(), strict=True))
        if pointer + len(new) > K:
            rows[K - len(new) :], pointer, wraps = new, 0, wraps + 1
        else:
            rows[pointer : pointer + len(new)] = new
            pointer += len(new)
        held = [row is not None for row in rows]
        assert memory.filled().tolist() == held
        assert int(memory.pointer) == pointer
        assert memory.features[memory.filled()].tolist() == [row[0] for row in rows if row]
        assert memory.labels[memory.filled()].tolist() == [row[1] for row in rows if row]
    assert wraps > 5


def test_class_means_are_those_of_the_rows():
    memory = ClassMeanMemory(size=K, embedding_size=D, num_classes=C)
    for features, labels, keep in batches(60):
        memory.enqueue(features, labels, keep)
        means, counts = memory.class_means(torch.arange(C))
        for c in range(C):
            members = memory.features[memory.filled() & (memory.labels == c)].double()
            assert int(counts[c]) == len(members)
            torch.testing.assert_close(means[c], members.mean(0) if len(members) else torch.zeros(D).double())


def test_the_bank_is_neither_copied_nor_moved():
    memory = CrossBatchMemory(size=K, embedding_size=D)
    places = [memory.features.data_ptr(), memory.labels.data_ptr()]
    for features, labels, keep in batches(10):
        memory.enqueue(features.requires_grad_(), labels, keep)
    assert [memory.features.data_ptr(), memory.labels.data_ptr()] == places
    assert not memory.features.requires_grad


def test_a_batch_as_large_as_the_memory_replaces_it():
    memory = CrossBatchMemory(size=K, embedding_size=D)
    for value in (1.0, 2.0):
        memory.enqueue(torch.full((K, D), value), torch.zeros(K, dtype=torch.int64))
        assert memory.features.unique().tolist() == [value]
        assert memory.filled().all()


def test_a_last_row_of_class_0_does_not_empty_it():
    """The published fullness test reads the label of the last row."""
    memory = CrossBatchMemory(size=4, embedding_size=1)
    for _ in range(2):
        memory.enqueue(torch.ones(3, 1), torch.zeros(3, dtype=torch.int64))
    assert int(memory.pointer) == 0
    assert memory.filled().all()


def test_too_large_a_batch_names_both_flags():
    memory = CrossBatchMemory(size=2, embedding_size=1)
    with pytest.raises(ValueError, match=r"--memory-size \(--T\) or lower --batch-size"):
        memory.enqueue(torch.ones(3, 1), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="--memory-size must be at least 1, got 0"):
        CrossBatchMemory(size=0, embedding_size=1)
