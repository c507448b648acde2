"""Every process of a distributed run holds the memory that one process with the global batch holds."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dml.data.samplers import RandomSampler
from dml.losses.proxies.proxy_isa import ProxyISALoss
from dml.losses.transfer.crd import CRDLoss
from dml.methods.supervised import SupervisedMethod
from dml.methods.terms.feature_storage import FeatureStorage
from dml.processes import keep_memories_apart
from dml.structures import Batch, ModelOutput, Progress
from two_processes import PROCESSES, in_two_processes, needs_gloo

B, C, D = 8, 3, 5


class Unit(nn.Module):
    """Stands for a network: "images" are embeddings already."""

    def rates_by_depth(self):
        return [("backbone", 1.0, [])]

    def new_parameters(self):
        return []

    def forward(self, images):
        return ModelOutput(embedding=nn.functional.normalize(images), features=images)


def states_after_training(rank: int, world_size: int) -> list[dict[str, torch.Tensor]]:
    """The criterion's state after an epoch of each phase."""
    torch.manual_seed(0)
    criterion = ProxyISALoss(num_classes=C, embedding_size=D, memory_size=20, memory_from_epoch=1, h=1.0, V=4.0)
    sampler = RandomSampler(np.zeros(B, dtype=np.int64), batch_size=B)
    method = SupervisedMethod(model=Unit(), criterion=criterion, sampler=sampler)
    states, share = [], B // world_size
    for epoch in range(4):
        progress = Progress(epoch, 4)
        method.start_epoch(progress)
        for step in range(3):
            generator = torch.Generator().manual_seed(10 * epoch + step)
            labels = torch.randint(C, (B,), generator=generator)
            images = torch.eye(C, D)[labels] + 0.7 * torch.randn(B, D, generator=generator)
            mine = slice(rank * share, (rank + 1) * share)
            method(Batch(images[mine], labels[mine], torch.arange(share)), progress)
        states.append({name: value.clone() for name, value in criterion.state_dict().items()})
    return states


@needs_gloo
def test_two_processes_hold_the_same_memory():
    gathered = in_two_processes(states_after_training, PROCESSES)
    alone = states_after_training(0, 1)
    assert int(alone[-1]["counter"].sum()) < 4 * 3 * B, "nothing was filtered"
    for process in gathered:
        for ours, expected in zip(process, alone, strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=0)


def test_the_memory_is_not_sent_around():
    """Data-parallel training leaves out the memory's buffers, and proxies, whose gradient every process has whole;
    counters stay with it."""
    criterion = ProxyISALoss(num_classes=C, embedding_size=D, memory_size=20)
    method = SupervisedMethod(model=Unit(), criterion=criterion, sampler=RandomSampler(np.zeros(B, int), batch_size=B))
    ignored = set(method._ddp_params_and_buffers_to_ignore)
    memory = {name for name in method.state_dict() if name.startswith("criterion.memory.")}
    assert ignored == memory | {"criterion.proxies"}
    assert "criterion.memory.class_sums" in memory


def test_the_features_of_the_training_set_are_not_sent_around():
    storage = FeatureStorage(lambda _: torch.zeros(B, D), num_images=B, embedding_size=D, momentum=0.5)
    sampler = RandomSampler(np.zeros(B, int), batch_size=B)
    method = SupervisedMethod(model=Unit(), criterion=nn.Module(), sampler=sampler, terms=[storage])
    assert set(method._ddp_params_and_buffers_to_ignore) == {"storage.features", "storage.change"}


def test_what_is_left_out_by_name():
    """Of CRD the two memories, of every method whatever its modules name; nothing else."""
    method = nn.Module()
    method.criterion = CRDLoss(target_features=4, source_features=4, labels=torch.arange(6) // 2, num_negatives=3)
    keep_memories_apart(method)
    ignored = set(method._ddp_params_and_buffers_to_ignore)
    assert {"criterion.target_memory", "criterion.source_memory"} <= ignored
    assert ignored <= set(dict(method.named_buffers())) - {"criterion.normalizers"}
