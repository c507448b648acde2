"""AdamP (Heo et al., ICLR 2021): Adam whose steps leave the length of scale-invariant weights as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

NEW = {"step": 0}


class AdamP(Optimizer):
    """Takes Adam's step, without the part along the weight itself where the weight's gradient stands upright on it.

    With g the gradient of a weight of two or more dimensions, p the weight and u Adam's step: where |cos(g_c, p_c)| <
    ``delta`` / √n for every output channel c of n numbers, u_c ← u_c − p̂_c (p̂_c · u_c); else, where it holds of the
    whole weight, likewise for that; else u is left alone. What is projected decays by ``wd_ratio`` · ``weight_decay``.

    The state, and its names, are those of the package ``adamp`` 0.3, so that either goes on from the other's; weights
    are equal to the bit on a CPU, as long as they are contiguous. NOTE: the package reads the device once or twice for
    every weight in each step, and fails on weights in ``channels_last``. Here no value is looked at, in any layout.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        betas: of the running means of the gradient and of its square.
        eps: added to the root of the latter.
        weight_decay: multiple of ``lr`` by which weights shrink in each step.
        delta: how far from upright counts as upright.
        wd_ratio: what is left of the decay of what is projected.
        nesterov: whether the mean looks a step ahead.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        delta: float = 0.1,
        wd_ratio: float = 0.1,
        nesterov: bool = False,
    ):
        named = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "delta": delta}
        super().__init__(params, named | {"wd_ratio": wd_ratio, "nesterov": nesterov})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step of every parameter that has a gradient; what ``closure`` gives, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_step: dict[tuple[int, int], list[Tensor]] = {}
            for number, weight in enumerate(group["params"]):
                if weight.grad is not None:
                    # On a CPU one after the other: a weight's numbers stay in its cache from line to line.
                    own = number if weight.device.type == "cpu" else 0
                    by_step.setdefault((self._begin(weight), own), []).append(weight)
            for (step, _), weights in by_step.items():
                self._step(group, step, weights)
        return loss

    def _begin(self, weight: Tensor) -> int:
        """Count a step of ``weight``; which it is, from 1."""
        state = self.state[weight]
        if not state:
            state |= NEW | {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}
        state["step"] += 1
        return state["step"]

    def _step(self, group: dict[str, Any], step: int, weights: list[Tensor]) -> None:
        """Step ``weights``, which have all taken equally many steps, and lie on one device."""
        beta1, beta2 = group["betas"]
        gradients = [weight.grad for weight in weights]
        means, squares = ([self.state[weight][name] for weight in weights] for name in ("exp_avg", "exp_avg_sq"))
        torch._foreach_mul_(means, beta1)
        torch._foreach_add_(means, gradients, alpha=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, math.sqrt(1 - beta2**step))
        torch._foreach_add_(roots, group["eps"])
        if group["nesterov"]:
            updates = torch._foreach_mul(means, beta1)
            torch._foreach_add_(updates, torch._foreach_mul(gradients, 1 - beta1))
            torch._foreach_div_(updates, roots)
        else:
            updates = torch._foreach_div(means, roots)
        self._project_and_decay(group, weights, gradients, updates)
        torch._foreach_add_(weights, updates, alpha=-group["lr"] / (1 - beta1**step))

    @staticmethod
    def _project_and_decay(
        group: dict[str, Any], weights: list[Tensor], gradients: list[Tensor], updates: list[Tensor]
    ) -> None:
        whole, less = (1 - group["lr"] * group["weight_decay"] * ratio for ratio in (1, group["wd_ratio"]))
        for weight, gradient, update in zip(weights, gradients, updates, strict=True):
            if weight.ndim > 1:
                projected = project(weight, gradient, update, delta=group["delta"], eps=group["eps"])
                if group["weight_decay"] > 0:
                    weight.mul_(torch.where(projected, less, whole))
        if group["weight_decay"] > 0 and (flat := [weight for weight in weights if weight.ndim < 2]):
            torch._foreach_mul_(flat, whole)


def project(weight: Tensor, gradient: Tensor, update: Tensor, *, delta: float, eps: float) -> Tensor:
    """Take out of ``update``, in place, its part along ``weight``, where ``gradient`` stands upright on that.

    All of one shape (C, …) and of any layout; O(numbers), no value is read.

    Returns:
        () bool: whether that was done.
    """
    within = tuple(range(1, weight.ndim))
    count = weight.numel()
    of_channels, of_all = torch.linalg.vector_norm(weight, dim=within, keepdim=True), torch.linalg.vector_norm(weight)
    of_gradients = torch.linalg.vector_norm(gradient, dim=within, keepdim=True)
    buffer = weight * gradient
    products = buffer.sum(within, keepdim=True)
    cosines = products.abs() / (of_gradients.clamp(min=eps) * of_channels.clamp(min=eps))
    cosine = products.sum().abs() / (torch.linalg.vector_norm(of_gradients).clamp(min=eps) * of_all.clamp(min=eps))
    by_channel = cosines.amax() < delta / math.sqrt(count // len(weight))
    by_all = cosine < delta / math.sqrt(count)
    unit = weight / torch.where(by_channel, of_channels, of_all).add_(eps)
    along = torch.mul(unit, update, out=buffer)
    share = torch.where(by_channel, along.sum(within, keepdim=True), along.sum())
    projected = by_channel | by_all
    update.sub_(unit.mul_(torch.where(projected, share, 0.0)))
    return projected
