"""IDML (METHODS §15): the introspective similarity, Proxy-Anchor over it, and the step with a mixed batch."""

from __future__ import annotations

from unittest import mock

import torch
from torch import Tensor, nn

from dml.losses.proxies.proxy_anchor import ProxyAnchorLoss
from dml.losses.similarity import IntrospectiveSimilarity
from dml.methods import mixup
from dml.structures import Batch, ModelOutput, Progress
from reference_checks.losses import variants


class GivenOutputs(nn.Module):
    """In place of a network: its "images" are what it says of them, (B, 2 D) embeddings and uncertainties."""

    is_row_wise = True

    def forward(self, rows: Tensor) -> ModelOutput:
        embedding, uncertainty = rows.chunk(2, dim=1)
        return ModelOutput(embedding, embedding, uncertainty=uncertainty)

    def rates_by_depth(self) -> list[tuple[str, float, list[nn.Parameter]]]:
        return [("backbone", 1.0, [])]

    def new_parameters(self) -> list[nn.Parameter]:
        return []


def idml(vectors, compare) -> None:
    """Similarities, losses and every gradient of every variant."""
    for variant in variants(vectors):
        values = {key.removeprefix(f"{variant}__"): vectors[key] for key in vectors.files if key.startswith(variant)}
        _plain(values, compare, variant)
        _with_mixed_batch(values, compare, variant)


def _criterion(values) -> ProxyAnchorLoss:
    loss = ProxyAnchorLoss(
        num_classes=int(values["n_classes"]),
        embedding_size=values["X"].shape[1],
        margin=float(values["mrg"]),
        alpha=float(values["alpha"]),
        similarity=IntrospectiveSimilarity(),
    ).double()
    with torch.no_grad():
        loss.proxies.copy_(torch.tensor(values["proxies"]))
    return loss


def _leaves(values, *names: str) -> list[Tensor]:
    return [torch.tensor(values[name], requires_grad=True) for name in names]


def _plain(values, compare, variant: str) -> None:
    x, v = _leaves(values, "X", "V")
    loss = _criterion(values)
    rows = torch.cat([x, v], dim=1)
    similarity = loss.similarity.similarities(rows, loss.proxies)
    compare(f"{variant} introspective_sim", similarity, values["introspective_sim"])
    result = loss(rows, torch.tensor(values["labels"]))
    result.backward()
    compare(f"{variant} loss", result, values["loss"])
    for name, leaf in (("X", x), ("V", v), ("proxies", loss.proxies)):
        compare(f"{variant} grad_{name}", leaf.grad, values[f"grad_{name}"], 1e-5, 1e-7)


def _with_mixed_batch(values, compare, variant: str) -> None:
    """The method's own step, its draw replaced by the file's."""
    x, v, x_mix, v_mix = _leaves(values, "X", "V", "X_mix", "V_mix")
    images, mixed_images = torch.cat([x, v], dim=1), torch.cat([x_mix, v_mix], dim=1)
    drawn = mixup.Mixed(mixed_images, torch.tensor(values["labels_b"]), torch.tensor(values["lam"]))
    method = mixup.MixupMethod(model=GivenOutputs(), criterion=_criterion(values), sampler=None)
    labels = torch.tensor(values["labels"])
    with mock.patch.object(mixup, "mix", lambda batch: drawn):
        step = method.training_step(Batch(images, labels, torch.arange(len(labels))), Progress(0, 1))
    step.loss.backward()
    compare(f"{variant} loss_mix_total", step.loss, values["loss_mix_total"])
    leaves = {"X": x, "V": v, "Xmix": x_mix, "Vmix": v_mix, "proxies": method.criterion.proxies}
    for name, leaf in leaves.items():
        compare(f"{variant} grad_mix_{name}", leaf.grad, values[f"grad_mix_{name}"], 1e-5, 1e-7)


CHECKS = {"15_idml": idml}
