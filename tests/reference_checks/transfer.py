"""Vectors of the transfer losses: METHODS §5 to §11."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.losses.transfer import Representation
from dml.losses.transfer.attention import AttentionLoss
from dml.losses.transfer.crd import CRDLoss
from dml.losses.transfer.darkrank import DarkRankLoss
from dml.losses.transfer.fitnet import FitNetLoss
from dml.losses.transfer.pkt import PKTLoss
from dml.losses.transfer.relaxed_contrastive import RelaxedContrastiveLoss
from dml.losses.transfer.relaxed_ms import RelaxedMSLoss
from dml.losses.transfer.rkd import RKDLoss
from reference_checks.losses import variants


class _Variant:
    """The arrays of one variant, and the loss on its embeddings."""

    def __init__(self, vectors, compare, name: str):
        self.vectors, self.compare, self.name = vectors, compare, name

    def __getitem__(self, key: str):
        return self.vectors[f"{self.name}__{key}"]

    def __contains__(self, key: str) -> bool:
        return f"{self.name}__{key}" in self.vectors.files

    def number(self, key: str) -> float:
        return float(self[key])

    def check_embeddings(self, loss: nn.Module, suffix: str = "", indices: Tensor | None = None) -> None:
        """Compare ``loss<suffix>`` and, where recorded, ``grad_t<suffix>``."""
        target = torch.tensor(self["t_emb"], requires_grad=True)
        source = Representation(torch.tensor(self["s_emb"]))
        labels = torch.tensor(self["labels"]) if "labels" in self else torch.zeros(len(target), dtype=torch.long)
        indices = torch.arange(len(target)) if indices is None else indices
        result = loss(Representation(target), source, labels=labels, indices=indices)
        result.backward()
        self.compare(f"{self.name} loss{suffix}", result, self[f"loss{suffix}"])
        if f"grad_t{suffix}" in self:
            self.compare(f"{self.name} grad_t{suffix}", target.grad, self[f"grad_t{suffix}"], 1e-5, 1e-7)


def relaxed_contrastive(vectors, compare) -> None:
    """Loss and gradient; ``dup`` has exact duplicate rows."""
    for variant in (_Variant(vectors, compare, name) for name in variants(vectors)):
        variant.check_embeddings(RelaxedContrastiveLoss(sigma=variant.number("sigma"), delta=variant.number("delta")))


def relaxed_ms(vectors, compare) -> None:
    """With the two views forced (rows i and i + ⌊N/2⌋ are of one image) and without."""
    for variant in (_Variant(vectors, compare, name) for name in variants(vectors)):
        options = {key: variant.number(key) for key in ("sigma", "delta", "scale_pos", "scale_neg")}
        half, rows = len(variant["t_emb"]) // 2, len(variant["t_emb"])
        images = torch.cat([torch.arange(half), torch.arange(half), torch.arange(2 * half, rows)])
        variant.check_embeddings(RelaxedMSLoss(forced_pairs=True, **options), "_forced", images)
        variant.check_embeddings(RelaxedMSLoss(forced_pairs=False, **options), "_unforced", images)


def rkd(vectors, compare) -> None:
    """Distance term, angle term and their sum."""
    for variant in (_Variant(vectors, compare, name) for name in variants(vectors)):
        variant.check_embeddings(RKDLoss(distance_weight=1, angle_weight=0), "_distance")
        variant.check_embeddings(RKDLoss(distance_weight=0, angle_weight=1), "_angle")
        if "loss_total" in variant:
            weights = {"distance_weight": variant.number("w_distance"), "angle_weight": variant.number("w_angle")}
            variant.check_embeddings(RKDLoss(**weights), "_total")


def pkt(vectors, compare) -> None:
    """Loss and gradient."""
    for variant in (_Variant(vectors, compare, name) for name in variants(vectors)):
        variant.check_embeddings(PKTLoss(eps=variant.number("eps")))


def darkrank(vectors, compare) -> None:
    """The ranking term alone, and with the triplets."""
    for variant in (_Variant(vectors, compare, name) for name in variants(vectors)):
        options = {
            "alpha": variant.number("alpha"),
            "beta": variant.number("beta"),
            "permute_len": int(variant["permute_len"]),
            "triplet_margin": variant.number("triplet_margin"),
        }
        variant.check_embeddings(DarkRankLoss(triplet_weight=0, **options), "_rank")
        variant.check_embeddings(DarkRankLoss(**options), "_total")


def at_fitnet(vectors, compare) -> None:
    """``at*``: attention; ``fitnet*``: the adapter's gradient too, ``fitnet2d`` on features instead of maps."""
    for variant in (_Variant(vectors, compare, name) for name in variants(vectors)):
        target, source = torch.tensor(variant["t_feat"], requires_grad=True), torch.tensor(variant["s_feat"])
        loss: nn.Module = AttentionLoss()
        if "weight" in variant:
            loss = FitNetLoss(target_channels=[target.shape[1]], source_channels=[source.shape[1]]).double()
            with torch.no_grad():
                loss.adapters[0].weight.copy_(torch.tensor(variant["weight"]))
        unused = torch.zeros(len(target), 1)
        result = loss(
            Representation(unused, maps=(target,)),
            Representation(unused, maps=(source,)),
            labels=torch.zeros(len(target), dtype=torch.long),
            indices=torch.arange(len(target)),
        )
        result.backward()
        compare(f"{variant.name} loss", result, variant["loss"])
        compare(f"{variant.name} grad_t", target.grad, variant["grad_t"], 1e-5, 1e-7)
        if "weight" in variant:
            compare(f"{variant.name} grad_weight", loss.adapters[0].weight.grad, variant["grad_weight"], 1e-5, 1e-7)


def crd(vectors, compare) -> None:
    """Steps with given negatives: loss, every gradient, normalisers and memories."""
    for variant in (_Variant(vectors, compare, name) for name in variants(vectors)):
        loss = _crd_loss(variant)
        step = 0
        while f"t{step}__f_t" in variant:
            loss.zero_grad()
            target, source = (torch.tensor(variant[f"t{step}__f_{key}"], requires_grad=True) for key in "ts")
            result = loss.contrast(target, source, torch.tensor(variant[f"t{step}__contrast_idx"]))
            result.backward()
            gradients = {"grad_f_t": target.grad, "grad_f_s": source.grad}
            for side, head in (("t", loss.target_head), ("s", loss.source_head)):
                gradients |= {f"grad_embed_{side}_weight": head.weight.grad, f"grad_embed_{side}_bias": head.bias.grad}
            name = f"{variant.name} t{step}"
            compare(f"{name} loss", result.reshape(1), variant[f"t{step}__loss"])
            for key, gradient in gradients.items():
                compare(f"{name} {key}", gradient, variant[f"t{step}__{key}"], 1e-5, 1e-7)
            compare(f"{name} Z_v1", loss.normalizers[0], variant[f"t{step}__Z_v1"])
            compare(f"{name} Z_v2", loss.normalizers[1], variant[f"t{step}__Z_v2"])
            compare(f"{name} memory_v1", loss.target_memory, variant[f"t{step}__memory_v1"])
            compare(f"{name} memory_v2", loss.source_memory, variant[f"t{step}__memory_v2"])
            step += 1


def _crd_loss(variant: _Variant) -> CRDLoss:
    loss = CRDLoss(
        target_features=variant["embed_t_weight"].shape[1],
        source_features=variant["embed_s_weight"].shape[1],
        labels=torch.arange(int(variant["n_data"])),
        num_negatives=int(variant["nce_k"]),
        size=int(variant["feat_dim"]),
        temperature=variant.number("nce_t"),
        momentum=variant.number("momentum"),
        eps=variant.number("eps"),
    ).double()
    state = {
        "target_memory": "memory_v1_init",
        "source_memory": "memory_v2_init",
        "target_head.weight": "embed_t_weight",
        "target_head.bias": "embed_t_bias",
        "source_head.weight": "embed_s_weight",
        "source_head.bias": "embed_s_bias",
    }
    loss.load_state_dict({key: torch.tensor(variant[name]) for key, name in state.items()}, strict=False)
    return loss


CHECKS = {
    "05_relaxed_contrastive": relaxed_contrastive,
    "06_relaxed_ms": relaxed_ms,
    "07_rkd": rkd,
    "08_pkt": pkt,
    "09_hard_darkrank": darkrank,
    "10_at_fitnet": at_fitnet,
    "11_crd": crd,
}
