"""Proxies stay out of what data-parallel training exchanges, and are the first process's at every epoch's start.

That steps are those of one process all the same, ``test_steps_of_two_processes`` holds for every method.
"""

from __future__ import annotations

import pytest
import torch
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from dml.losses import LOSSES, create_loss
from dml.processes import gather_rows, keep_memories_apart, share_buffers
from two_processes import in_two_processes, needs_gloo, share_of

CLASSES, SIZE, IMAGES = 6, 4, 8
WITH_PROXIES = [name for name, spec in LOSSES.items() if spec.lr_scale is not None and not spec.tuples]


class Method(torch.nn.Module):
    """A layer in place of a network, and a loss of the rows of all processes."""

    def __init__(self, name: str):
        super().__init__()
        self.model = torch.nn.Linear(3, SIZE)
        self.criterion = create_loss(name, num_classes=CLASSES, embedding_size=SIZE)
        keep_memories_apart(self)

    def forward(self, images, labels):
        return self.criterion(gather_rows(self.model(images)), gather_rows(labels))


def a_step(rank: int, name: str) -> dict:
    """What is exchanged in a step, and the gradients; each process has drawn proxies of its own before."""
    torch.manual_seed(rank)
    method = Method(name)
    step, exchanged = DistributedDataParallel(method), []

    def counting(group, bucket):
        exchanged.append(bucket.buffer().numel())
        return allreduce_hook(group, bucket)

    step.register_comm_hook(None, counting)
    share_buffers(method)
    images = torch.randn(IMAGES, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(IMAGES) % CLASSES
    step(share_of(images, rank), share_of(labels, rank)).backward()
    return {
        "exchanged": sum(exchanged),
        "weights": dict(method.named_parameters()),
        "gradients": {key: value.grad for key, value in method.named_parameters()},
    }


@needs_gloo
@pytest.mark.parametrize("name", ["proxy_anchor", "softtriple"])
def test_only_the_network_is_exchanged(name):
    found = in_two_processes(a_step, name)
    assert [process["exchanged"] for process in found] == [SIZE * 3 + SIZE] * 2
    torch.testing.assert_close(found[0]["weights"], found[1]["weights"], rtol=0, atol=0)
    method = Method(name)
    method.load_state_dict({**method.state_dict(), **found[0]["weights"]})
    images = torch.randn(IMAGES, 3, generator=torch.Generator().manual_seed(0))
    method(images, torch.arange(IMAGES) % CLASSES).backward()
    for process in found:
        for key, value in method.named_parameters():
            torch.testing.assert_close(process["gradients"][key], value.grad, msg=key)


@pytest.mark.parametrize("name", WITH_PROXIES)
def test_every_loss_says_which_of_its_parameters_they_are(name):
    """Those of which a gradient is drawn or picked anew in each process are exchanged."""
    loss = create_loss(name, num_classes=CLASSES, embedding_size=SIZE)
    whole = set(getattr(loss, "whole_gradients", ()))
    assert whole == (set() if name == "adversarial_separation" else {key for key, _ in loss.named_parameters()})
