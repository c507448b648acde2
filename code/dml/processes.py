"""The global batch: what every process of a distributed run computed, on each of them, with gradient."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def world_size() -> int:
    """Number of processes that train together; 1 outside a distributed run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process among them, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


class _AllGather(torch.autograd.Function):
    """(B, …) of each of W processes → (W, B, …) on all; the gradient is summed over processes.

    Each process computes the same loss of the global batch, so the sum is W times what its own rows deserve;
    the mean over processes that data-parallel training takes of the parameters' gradients undoes the W.
    """

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        gathered = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, tensor.contiguous())
        return torch.stack(gathered)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]


def gather_rows(tensor: Tensor, num_views: int = 1) -> Tensor:
    """(V·B, …) rows of this process, view by view → (V·W·B, …) rows of all W processes, view by view.

    With one process the tensor itself. Differentiable; every process must bring equally many rows.
    """
    processes = world_size()
    if processes == 1:
        return tensor
    gathered = _AllGather.apply(tensor) if tensor.requires_grad else _AllGather.forward(None, tensor)
    by_view = gathered.unflatten(1, (num_views, -1)).transpose(0, 1)  # (V, W, B, …)
    return by_view.flatten(0, 2)


def global_mean(value: Tensor) -> Tensor:
    """() of each process → () their mean, on all. Differentiable as ``gather_rows`` is."""
    return gather_rows(value[None]).mean()


@torch.no_grad()
def exchange_rows(tensor: Tensor, wanted: Tensor, num_views: int = 1) -> Tensor:
    """``tensor[wanted]`` of the global batch, of which each process has and gets its own part.

    Only rows that are asked for travel: V·B to each process, whatever the number of processes.

    Args:
        tensor: (V·B, …) rows of this process, view by view.
        wanted: (V·W·B,) int64 on the CPU, the same on every process: the row of the global batch, whose rows stand
            view by view, that is to take the place of each.
        num_views: V.

    Returns:
        (V·B, …) what takes the place of this process's rows.
    """
    processes = world_size()
    if processes == 1:
        return tensor[wanted.to(tensor.device)]
    share, own = len(wanted) // (num_views * processes), rank()
    asked = wanted.view(num_views, processes, share).transpose(0, 1).flatten(1)  # (W, V·B), by who asks
    owner = asked // share % processes
    place = asked // (share * processes) * share + asked % share  # among the rows of its owner
    outgoing = tensor[place[owner == own].to(tensor.device)]
    incoming = torch.empty_like(tensor)
    received = torch.bincount(owner[own], minlength=processes)
    dist.all_to_all_single(incoming, outgoing, received.tolist(), (owner == own).sum(1).tolist())
    # They come by sender, and of each in the order that they were asked for.
    return incoming[owner[own].argsort(stable=True).argsort().to(tensor.device)]


def share_of(items: Tensor) -> Tensor:
    """This process's of the items (N, …) that all processes have and divide among them: every W-th."""
    return items[rank() :: world_size()]


def add_shares(tensor: Tensor) -> Tensor:
    """The sum over processes of ``tensor``, in which each has filled in its share and left 0 elsewhere: exactly what
    one process would have filled in. In place, on every process."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


@torch.no_grad()
def share_buffers(module: nn.Module) -> None:
    """Give every process the buffers of the first, which is the one that is saved, and what it alone keeps in step.

    Running statistics of batch normalisation are each process's own, unless they are frozen. Parameters with
    ``whole_gradients`` start alike by this, and what rounding might make of them in an epoch ends with it.
    """
    if world_size() > 1:
        of_all = [part.get_parameter(name) for part in module.modules() for name in _whole_gradients(part)]
        for tensor in (*module.buffers(), *of_all):
            dist.broadcast(tensor, src=0)


def _whole_gradients(module: nn.Module) -> tuple[str, ...]:
    return getattr(module, "whole_gradients", ())


def keep_memories_apart(method: nn.Module) -> None:
    """Tell data-parallel training to leave out of its exchanges what every process computes from the global batch.

    Memories: each fills the same, and sending 55,000 × 512 floats before every step would cost 113 MB. A module
    names such buffers in ``memory_buffers``. Proxies: each computes their whole gradient, of which the mean over
    processes is that gradient again, and which at a million classes of 512 are 2 GB a step. A module names such
    parameters in ``whole_gradients``; ``share_buffers`` gives all processes those of the first.
    """
    names = [
        ".".join(filter(None, (module_name, buffer)))
        for module_name, module in method.named_modules()
        for buffer in (*getattr(module, "memory_buffers", ()), *_whole_gradients(module))
    ]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(method, names)
