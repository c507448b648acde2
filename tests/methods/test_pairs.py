"""What is said of training sets without a positive pair."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dml.cli.train import resolve_train
from dml.config import ConfigWarning
from dml.data import ImageRecords
from dml.losses import LOSSES
from dml.methods.base import Given
from dml.methods.build import build_method
from dml.models import create_model


def built(images_per_class: int, **typed) -> list[str]:
    """What is said while the method is built on eight classes."""
    sizes = {"embedding_size": 8, "batch_size": 8, "model": "resnet18", "pretrained": False}
    labels = np.repeat(np.arange(8), images_per_class)
    train = ImageRecords(tuple(map(str, range(len(labels)))), labels, tuple(map(str, range(8))))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = resolve_train(sizes | typed)
        caught.clear()
        build_method(Given(config, create_model("resnet18", embedding_size=8, pretrained=False), train))
    assert all(warning.category is ConfigWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_a_loss_of_pairs_has_nothing_to_learn_from():
    for loss in ("MS", "Contrastive", "Triplet"):
        with pytest.raises(ValueError, match=f"no training class .* --loss {loss} has no positive pair"):
            built(1, loss=loss)


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ({"loss": "MS", "IPC": 2}, "an image's only partner is itself"),
        ({"loss": "triplet"}, "an image's only partner is itself"),  # LSD's recipe draws two images of a class
        ({"loss": "MS", "memory": True}, "an image's only partner is itself"),
        ({"loss": "MS_lsd"}, "self-distillation is all that trains"),
    ],
)
def test_what_is_left_to_learn_is_said(typed, left):
    (text,) = built(1, **typed)
    assert left in text and "--loss Proxy_Anchor" in text
    assert not any("no training class" in text for text in built(2, **typed))


def test_losses_of_proxies_train_on_single_images():
    assert built(1, loss="Proxy_Anchor") == built(1, loss="ProxyISA", memory=True) == built(1, loss="softmax") == []


def test_pairs_are_those_of_losses_without_proxies():
    """Every loss is one or the other; a new one that is neither is looked at here."""
    others = {name for name, spec in LOSSES.items() if not spec.learns_from_pairs}
    assert others == {
        *("proxy_anchor", "proxy_isa", "proxy_isa_without_memory", "proxy_nca_with_positive"),
        *("proxy_nca_without_positive", "softmax_normalized", "soft_triplet_by_feature", "softtriple"),
        *("arcface_clamped", "arcface_unclamped", "proxy_nca_distances", "adversarial_separation"),
    }
