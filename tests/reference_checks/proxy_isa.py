"""Trajectories of Proxy-ISA (METHODS §3), and its repository's pair losses over rows (METHODS §4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dml.losses.pairs.contrastive import ContrastiveMemoryLoss
from dml.losses.pairs.multi_similarity import MultiSimilarityMemoryLoss
from dml.losses.pairs.with_memory import PairLossWithMemory
from dml.losses.proxies.proxy_isa import ProxyISALoss
from reference_checks.losses import variants

STATE = {"counter": "counter", "effectiveNum": "effective_number", "learnedSim": "learned_similarity"}
MEMORY = {"mem_feats": "features", "mem_targets": "labels", "mem_ptr": "pointer"}


def proxy_isa(vectors, compare) -> None:
    """Every step and every state, up to the step whose published fullness test differs from the rows written."""
    for variant in variants(vectors):
        values = {key.removeprefix(f"{variant}__"): vectors[key] for key in vectors.files if key.startswith(variant)}
        loss = _initial(values)
        for step in range(int(values["n_steps"])):
            now = {key.removeprefix(f"t{step}__"): v for key, v in values.items() if key.startswith(f"t{step}__")}
            if not _step(loss, now, compare, f"{variant} t{step}"):
                break


def _initial(values) -> ProxyISALoss:
    hyper = {"margin": "mrg", "alpha": "alpha", "k": "k", "V": "V", "lam": "lam", "h": "h", "tau": "tau"}
    loss = ProxyISALoss(
        num_classes=int(values["n_classes"]),
        embedding_size=int(values["embed_dim"]),
        memory_size=int(values["memory_size"]),
        **{ours: float(values[theirs]) for ours, theirs in hyper.items()},
    ).double()
    for theirs, ours in STATE.items():
        getattr(loss, ours).copy_(torch.tensor(values[f"{theirs}_init"]))
    return loss


def _step(loss: ProxyISALoss, now, compare, name: str) -> bool:
    """Compare one step; False where the published memory misjudges its fullness, from which states part."""
    loss.memory_enabled, loss.filter_enabled = bool(now["enableMemory"]), bool(now["enableFilter"])
    with torch.no_grad():
        loss.proxies.copy_(torch.tensor(now["proxies"]))
    loss.zero_grad()
    embeddings, labels = torch.tensor(now["emb"], requires_grad=True), torch.tensor(now["labels"])
    _compare_weights(loss, embeddings.detach(), labels, now, compare, name)
    _compare_single_precision(loss, now, compare, name)
    result = loss(embeddings, labels)
    result.backward()
    compare(f"{name} loss", result, now["loss"])
    compare(f"{name} grad_emb", embeddings.grad, now["grad_emb"], 1e-5, 1e-7)
    compare(f"{name} grad_proxies", loss.proxies.grad, now["grad_proxies"], 1e-5, 1e-7)
    for theirs, ours in MEMORY.items():
        compare(f"{name} {theirs}", getattr(loss.memory, ours), now[theirs])
    for theirs in ("counter", "effectiveNum"):
        compare(f"{name} {theirs}", getattr(loss, STATE[theirs]), now[theirs])
    if int(loss.memory.written) != int(now["mem_get_len"]):
        return False
    compare(f"{name} learnedSim", loss.learned_similarity, now["learnedSim"])
    return True


def _compare_weights(loss: ProxyISALoss, embeddings: Tensor, labels: Tensor, now, compare, name: str) -> None:
    thresholds = loss.class_thresholds()
    state = (loss.class_weights(), *thresholds)
    for ours, theirs in zip(state, ("w", "eta", "outlierSim"), strict=True):
        compare(f"{name} {theirs}", ours, now[theirs])
    proxies = torch.nn.functional.normalize(loss.proxies.detach())
    similarity = embeddings @ proxies.T
    positive, negative = loss.pair_weights(similarity, labels, thresholds)
    weights = negative.scatter(1, labels[:, None], positive[:, None])
    compare(f"{name} pair_weight", weights, now["pair_weight"])
    inside = torch.nn.functional.one_hot(labels, loss.num_classes).bool()
    for key, mask in (("pos_weight_sum", inside), ("neg_weight_sum", ~inside)):
        means = (weights * mask).sum(0) / mask.sum(0).clamp_min(1)
        compare(f"{name} {key}", means.sum(), now[key])
    own = similarity.gather(1, labels[:, None]).squeeze(1)
    outliers = (own < thresholds.outlier[labels]).nonzero().squeeze(1) if loss.filter_enabled else torch.empty(0)
    compare(f"{name} filtered", outliers, now["filtered"])


def _compare_single_precision(loss: ProxyISALoss, now, compare, name: str) -> None:
    single = ProxyISALoss(
        **{key: getattr(loss, key) for key in ("num_classes", "embedding_size", "margin", "alpha", "k", "V")},
        **{key: getattr(loss, key) for key in ("lam", "h", "tau")},
        memory_size=loss.memory.size,
    ).eval()
    single.load_state_dict(loss.state_dict())
    single.memory_enabled, single.filter_enabled = loss.memory_enabled, loss.filter_enabled
    result = single(torch.tensor(now["emb"]).float(), torch.tensor(now["labels"]))
    compare(f"{name} loss_f32", result, now["loss_f32"], 1e-4, 1e-6)


def _pair_loss(vectors, compare, build: Callable[..., PairLossWithMemory]) -> None:
    for variant in variants(vectors):
        embeddings = torch.tensor(vectors[f"{variant}__emb"], requires_grad=True)
        labels = torch.tensor(vectors[f"{variant}__labels"])
        sizes = {"num_classes": int(labels.max()) + 1, "embedding_size": embeddings.shape[1]}
        loss = build(variant, **sizes, memory_size=1)
        for detached in (False, True):
            _compare_rows(vectors, compare, variant, loss, embeddings, labels, detached)


def _compare_rows(
    vectors, compare, variant: str, loss: PairLossWithMemory, embeddings: Tensor, labels: Tensor, detached: bool
) -> None:
    """Against the rows of the file, or the batch itself with and without gradient through the rows."""
    gradient = f"{variant}__grad_emb" + "_rows_detached" * detached
    if f"{variant}__rows" in vectors.files:
        rows, row_labels = (torch.tensor(vectors[f"{variant}__{key}"]) for key in ("rows", "row_labels"))
    else:
        rows, row_labels = (embeddings.detach() if detached else embeddings), labels
    result = loss.compare(embeddings, labels, rows, row_labels, torch.ones_like(row_labels, dtype=torch.bool))
    compare(f"{variant} loss", result, vectors[f"{variant}__loss"])
    if gradient in vectors.files:
        (ours,) = torch.autograd.grad(result, embeddings)
        compare(gradient, ours, vectors[gradient], 1e-5, 1e-7)


def multi_similarity(vectors, compare) -> None:
    """Rows of the batch itself and of a memory, with and without mining."""
    shared = {"scale_pos": "scale_pos", "threshold": "thresh", "mining_margin": "margin"}

    def build(variant: str, **sizes) -> MultiSimilarityMemoryLoss:
        options = {ours: float(vectors[theirs]) for ours, theirs in shared.items()}
        if f"{variant}__scale_neg" in vectors.files:
            options["scale_neg"] = float(vectors[f"{variant}__scale_neg"])
            options["hard_mining"] = bool(vectors[f"{variant}__hard_mining"])
        return MultiSimilarityMemoryLoss(**options, **sizes)

    _pair_loss(vectors, compare, build)


def contrastive(vectors, compare) -> None:
    """Rows of the batch itself and of a memory."""

    def build(variant: str, **sizes) -> ContrastiveMemoryLoss:
        key = f"{variant}__margin"
        return ContrastiveMemoryLoss(**({"margin": float(vectors[key])} if key in vectors.files else {}), **sizes)

    _pair_loss(vectors, compare, build)


CHECKS = {
    "03_proxy_isa": proxy_isa,
    "04_multi_similarity_isa": multi_similarity,
    "04_contrastive_isa": contrastive,
}
