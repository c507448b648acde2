"""Loss vectors: METHODS §1 and §2."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from dml.losses.proxies.proxy_anchor import ProxyAnchorLoss
from dml.losses.proxies.proxy_nca import ProxyNCAWithoutPositive, ProxyNCAWithPositive


def variants(vectors) -> list[str]:
    """The distinct prefixes ``v0``, ``isa_norm``, … of a file's keys."""
    return sorted({key.split("__")[0] for key in vectors.files if "__" in key})


def _compare_proxy_loss(vectors, compare, variant: str, build: Callable[..., nn.Module]) -> None:
    def value(key: str):
        return vectors[f"{variant}__{key}"]

    embeddings = torch.tensor(value("emb"), requires_grad=True)
    proxies = torch.tensor(value("proxies"))
    loss = build(num_classes=int(value("n_classes")), embedding_size=embeddings.shape[1]).double()
    with torch.no_grad():
        loss.proxies.copy_(proxies)
    result = loss(embeddings, torch.tensor(value("labels")))
    result.backward()
    compare(f"{variant} loss", result, value("loss"))
    compare(f"{variant} grad_emb", embeddings.grad, value("grad_emb"), 1e-5, 1e-7)
    compare(f"{variant} grad_proxies", loss.proxies.grad, value("grad_proxies"), 1e-5, 1e-7)
    if f"{variant}__loss_f32" in vectors.files:
        single = loss.float()(embeddings.detach().float(), torch.tensor(value("labels")))
        compare(f"{variant} loss_f32", single, value("loss_f32"), 1e-4, 1e-6)


def proxy_anchor(vectors, compare) -> None:
    """Loss and both gradients, float64 and float32."""
    for variant in variants(vectors):
        margin, alpha = float(vectors[f"{variant}__mrg"]), float(vectors[f"{variant}__alpha"])
        _compare_proxy_loss(
            vectors,
            compare,
            variant,
            lambda m=margin, a=alpha, **sizes: ProxyAnchorLoss(margin=m, alpha=a, **sizes),
        )


def proxy_nca(vectors, compare) -> None:
    """``isa_*``: positive left out; ``pml_*``: positive in the denominator."""
    for variant in variants(vectors):
        kind = ProxyNCAWithoutPositive if variant.startswith("isa") else ProxyNCAWithPositive
        scale = float(vectors[f"{variant}__scale"])
        _compare_proxy_loss(vectors, compare, variant, lambda k=kind, s=scale, **sizes: k(scale=s, **sizes))


CHECKS = {"01_proxy_anchor": proxy_anchor, "02_proxy_nca": proxy_nca}
