"""How many right answers a query has."""

from __future__ import annotations

import pytest
import torch

from dml.positives import ids_or_own, num_positives


@pytest.fixture
def drawn() -> tuple[torch.Tensor, ...]:
    """Classes and images of 40 queries and of a gallery of 25, some of classes that the other side lacks."""
    draw = torch.Generator().manual_seed(0)
    sizes = ((12, 40), (30, 40), (14, 25), (30, 25))
    return tuple(torch.randint(high, (count,), generator=draw) for high, count in sizes)


@pytest.mark.parametrize("own", [False, True])
def test_it_counts_other_images_of_the_class(drawn, own):
    """Against the definition, query by query."""
    labels, images, others, other_images = drawn
    if own:
        others, other_images = labels, images
    plain = [int(((others == c) & (other_images != n)).sum()) for c, n in zip(labels, images, strict=True)]
    assert num_positives(labels, others, (images, other_images)).tolist() == plain
    assert 0 < plain.count(0) < len(plain)
    plain = [int((others == c).sum()) - own for c in labels]
    assert num_positives(labels, others, ids_or_own(None, len(labels), own_gallery=own)).tolist() == plain


def test_an_empty_gallery_answers_nothing(drawn):
    labels, images, *_ = drawn
    assert num_positives(labels, labels[:0], None).tolist() == [0] * 40
    assert num_positives(labels, labels[:0], (images, images[:0])).tolist() == [0] * 40
