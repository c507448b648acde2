"""Terms as their method calls them: what they add, what they learn, their place in the state, their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dml.data.samplers import RandomSampler
from dml.methods.supervised import SupervisedMethod
from dml.methods.terms.base import Seen, Term
from dml.structures import Batch, ModelOutput, Progress


class Network(nn.Module):
    """Stands for a network: "images" are embeddings already."""

    architecture = type("Architecture", (), {"embedding_size": 2})

    def rates_by_depth(self):
        return [("backbone", 1.0, [])]

    def new_parameters(self):
        return []

    def forward(self, images):
        return ModelOutput(embedding=images, features=images)


class Sum(nn.Module):
    def forward(self, rows, labels):
        return rows.sum()


class Scaled(Term):
    """Adds ``factor`` · Σ x², with a factor that learns; notes when it is called."""

    def __init__(self, name: str, factor: float = 1.0):
        super().__init__()
        self.name, self.called = name, []
        self.factor = nn.Parameter(torch.tensor(factor))

    def loss(self, seen: Seen) -> torch.Tensor | None:
        self.called.append(("loss", seen.progress.epoch))
        return None if seen.progress.epoch == 0 else self.factor * seen.embeddings.square().sum()

    def after_optimizer_step(self, model):
        self.called.append(("after_optimizer_step", model))

    def end_epoch(self, model):
        self.called.append(("end_epoch", model))


def method(*terms: Term) -> SupervisedMethod:
    sampler = RandomSampler(np.zeros(3, dtype=np.int64), batch_size=3)
    return SupervisedMethod(model=Network(), criterion=Sum(), sampler=sampler, terms=terms)


def step(trained: SupervisedMethod, epoch: int):
    images = torch.arange(6.0).reshape(3, 2).requires_grad_()
    return trained(Batch(images, torch.zeros(3, dtype=torch.int64), torch.arange(3)), Progress(epoch, 2))


def test_what_terms_add_is_summed_and_logged():
    trained = method(Scaled("one"), Scaled("two", 3.0))
    assert step(trained, 0).loss == 15
    assert step(trained, 0).logs == {}
    output = step(trained, 1)
    assert output.loss == 15 + 55 + 3 * 55
    assert {name: value.item() for name, value in output.logs.items()} == {
        "rank_loss": 15,
        "one_loss": 55,
        "two_loss": 165,
    }
    assert not any(value.requires_grad for value in output.logs.values())


def test_hooks_are_called_with_the_network():
    trained = method(Scaled("one"))
    step(trained, 1)
    trained.after_optimizer_step()
    trained.end_epoch(Progress(1, 2))
    called = [("loss", 1), ("after_optimizer_step", trained.model), ("end_epoch", trained.model)]
    assert trained.one.called == called


def test_what_learns_is_in_a_group_and_in_the_state_of_the_training_alone():
    trained = method(Scaled("one"))
    (group,) = [group for group in trained.param_groups() if group.name == "one"]
    assert list(group.parameters) == [trained.one.factor]
    assert list(trained.state_dict()) == ["one.factor"]
    assert "one.factor".startswith(trained.training_only)
    assert len(method().param_groups()) == 3, "no group for what is not there: checkpoints count them"


@pytest.mark.parametrize("name", ["model", "criterion", "proxies", "one"])
def test_a_name_that_is_taken(name):
    with pytest.raises(ValueError, match=f"two parts of a method are called '{name}'"):
        method(Scaled("one"), Scaled(name))
