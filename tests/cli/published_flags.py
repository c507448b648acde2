"""Where each published flag ends: the setting of ours that it sets, and what is typed to see it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

FLAGS = json.loads((Path(__file__).parent.parent / "reference" / "flags.json").read_text())
OPPOSITE = object()  # of a yes or no: whatever is not the default

# Published flag → (setting, words, value). The flags of several programs that mean the same have one line.
COMMON: dict[str, tuple[str, Any, Any]] = {
    "LOG_DIR": ("run.log_dir", "/elsewhere", "/elsewhere"),
    "DATA_DIR": ("data.data_dir", "/elsewhere", "/elsewhere"),
    "dataset": ("data.dataset", "cars", "cars"),
    "embedding_size": ("model.embedding_size", "48", 48),
    "batch_size": ("data.batch_size", "45", 45),
    "epochs": ("optim.epochs", "33", 33),
    "gpu_id": ("run.gpu_id", "3", (3,)),
    "workers": ("data.workers", "3", 3),
    "model": ("model.model", "resnet18", "resnet18"),
    "optimizer": ("optim.optimizer", "sgd", "sgd"),
    "lr": ("optim.lr", "0.02", 0.02),
    "weight_decay": ("optim.weight_decay", "0.03", 0.03),
    "lr_decay_step": ("optim.lr_decay_step", "7", 7),
    "lr_decay_gamma": ("optim.lr_decay_gamma", "0.3", 0.3),
    "alpha": ("loss.options.alpha", "17", 17.0),
    "mrg": ("loss.options.mrg", "0.4", 0.4),
    "IPC": ("data.IPC", "5", 5),
    "warm": ("optim.warm", "4", 4),
    "bn_freeze": ("model.bn_freeze", OPPOSITE, None),
    "l2_norm": ("model.l2_norm", OPPOSITE, None),
    "remark": ("run.remark", "mine", "mine"),
    "save": ("run.save", OPPOSITE, None),
    "seed": ("run.seed", "5", 5),
    "loss": ("loss.loss", "Triplet", "Triplet"),
}
PROXY_ISA = COMMON | {
    "loss": ("loss.loss", "ProxyAnchor", "ProxyAnchor"),
    "scheduler": ("optim.scheduler", "exp", "exp"),
    "init_type": ("optim.init_type", "center", "center"),
    "enableMemory": ("loss.memory", "True", True),
    "T": ("loss.options.memory-size", "500", 500),
    "start_epoch": ("loss.options.start-epoch", "3", 3),
    "k": ("loss.options.k", "0.4", 0.4),
    "V": ("loss.options.V", "70", 70.0),
    "lam": ("loss.options.lam", "0.3", 0.3),
    "ncaScale": ("loss.options.nca-scale", "8", 8.0),
    "p": ("data.p", "0.4", 0.4),
    "eval_metric": ("evaluation.select_metric", "MLRC", "map_at_r"),
    "visualize": ("run.visualize", "True", True),
}
TRANSFER = COMMON | {
    "loss": ("loss.loss", "Relaxed_MS", "Relaxed_MS"),
    "target_norm": ("model.l2_norm", OPPOSITE, None),
    "source_norm": ("transfer.source_norm", OPPOSITE, None),
    "source_ckpt": ("transfer.source_ckpt", "/elsewhere/other.pth", "/elsewhere/other.pth"),
    "view": ("transfer.view", "3", 3),
    "delta": ("loss.options.delta", "0.7", 0.7),
    "sigma": ("loss.options.sigma", "0.6", 0.6),
}
STML = COMMON | {
    "bg_embedding_size": ("self_taught.bg_embedding_size", "700", 700),
    "emb_lr": ("optim.head_lr", "0.005", 0.005),
    "fix_lr": ("optim.scheduler", "True", "constant"),
    "num_neighbors": ("self_taught.num_neighbors", "3", 3),
    "student_norm": ("loss.options.student-norm", OPPOSITE, None),
    "teacher_norm": ("self_taught.teacher_norm", OPPOSITE, None),
    "view": ("self_taught.view", "3", 3),
    "delta": ("loss.options.delta", "0.7", 0.7),
    "sigma": ("loss.options.sigma", "0.6", 0.6),
    "momentum": ("self_taught.momentum", "0.5", 0.5),
    "pretrained": ("model.pretrained", OPPOSITE, None),
    "swav": ("self_taught.swav", OPPOSITE, None),
    "norm": ("model.l2_norm", OPPOSITE, None),
    "memory_size": ("loss.options.memory-size", "480", 480),
    "topk": ("loss.options.topk", "7", 7),
    "method": ("loss.loss", "byol", "byol"),
}
LSD = {
    "dataset": ("data.dataset", "cars196", "cars"),
    "use_tv_split": ("data.val_split", (), 0.2),
    "tv_split_by_samples": ("data.val_by_images", (), True),
    "tv_split_perc": ("data.val_split", "0.7", 0.3),
    "augmentation": ("data.augmentation", "big", "big"),
    "lr": ("optim.lr", "0.02", 0.02),
    "fc_lr": ("optim.head_lr", "0.005", 0.005),
    "decay": ("optim.weight_decay", "0.03", 0.03),
    "n_epochs": ("optim.epochs", "33", 33),
    "kernels": ("data.workers", "3", 3),
    "bs": ("data.batch_size", "48", 48),
    "seed": ("run.seed", "5", 5),
    "scheduler": ("optim.scheduler", "exp", "exp"),
    "gamma": ("optim.lr_decay_gamma", "0.7", 0.7),
    "tau": ("optim.milestones", ("30", "60"), (30, 60)),
    "optim": ("optim.optimizer", "sgd", "sgd"),
    "loss": ("loss.loss", "contrastive", "contrastive"),
    "batch_mining": ("loss.miner", "semihard", "semihard"),
    "embed_dim": ("model.embedding_size", "48", 48),
    "not_pretrained": ("model.pretrained", (), False),
    "arch": ("model.model", "resnet18_frozen", "resnet18"),
    "no_train_metrics": ("evaluation.train_metrics", (), False),
    "evaluation_metrics": ("evaluation.metrics", ("e_recall@1", "f1"), ("e_recall@1", "f1")),
    "storage_metrics": ("evaluation.storage_metrics", "nmi", ("nmi",)),
    "gpu": ("run.gpu_id", "3", (3,)),
    "savename": ("run.run_name", "mine", "mine"),
    "source_path": ("data.data_dir", "/elsewhere", "/elsewhere"),
    "save_path": ("run.log_dir", "/elsewhere", "/elsewhere"),
    "log_online": ("run.wandb", (), "auto"),
    "project": ("run.project", "mine", "mine"),
    "group": ("run.group", "mine", "mine"),
    "data_sampler": ("data.sampler", "balanced", "balanced"),
    "samples_per_class": ("data.IPC", "4", 4),
    "data_batchmatch_bigbs": ("feature_sampling.data_batchmatch_bigbs", "300", 300),
    "data_batchmatch_ncomps": ("feature_sampling.data_batchmatch_ncomps", "7", 7),
    "data_storage_no_update": ("feature_sampling.data_storage_no_update", (), True),
    "data_d2_coreset_lambda": ("feature_sampling.data_d2_coreset_lambda", "0.5", 0.5),
    "data_gc_coreset_lim": ("feature_sampling.data_gc_coreset_lim", "1e-8", 1e-8),
    "data_sampler_lowproj_dim": ("feature_sampling.data_sampler_lowproj_dim", "9", 9),
    "data_sim_measure": ("feature_sampling.data_sim_measure", "cosine", "cosine"),
    "data_gc_softened": ("feature_sampling.data_gc_softened", (), True),
    "data_idx_full_prec": ("feature_sampling.data_idx_full_prec", (), True),
    "data_mb_mom": ("feature_sampling.data_mb_mom", "0.5", 0.5),
    "data_mb_lr": ("feature_sampling.data_mb_lr", "0.5", 0.5),
    "kd_tau": ("distillation.kd_tau", "2", 2.0),
    "kd_alpha": ("distillation.kd_alpha", "50", 50.0),
    "noisy_label": ("noise.noisy_ratio", ("--noisy_ratio", "0.1"), 0.1),
    "noisy_ratio": ("noise.noisy_ratio", "0.3", 0.3),
}
# evaluate.py's settings stand in no section.
EVALUATION = {
    **{name: (setting.partition(".")[2], *rest) for name, (setting, *rest) in COMMON.items()},
    "l2_norm": ("l2_norm", "0", False),
    "target_norm": ("l2_norm", "1", True),
    "bn_freeze": ("bn_freeze", "0", False),
    "source_norm": ("source_norm", "0", False),
    "resume": ("ckpt", "other.pth", "other.pth"),
    "ckpt": ("ckpt", "other.pth", "other.pth"),
}


def settings(config: Any) -> dict[str, Any]:
    """Every setting by its place in the configuration, ``loss.options.alpha`` for instance."""
    found: dict[str, Any] = {}

    def add(prefix: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, dict):
                add(f"{prefix}{name}.", value)
            else:
                found[prefix + name] = value

    add("", dataclasses.asdict(config))
    return found


def assert_arrives(
    parse: Callable[..., Any],
    entry: Mapping[str, Any],
    table: Mapping[str, tuple[str, Any, Any]],
    *,
    beside: Sequence[str] = (),
    is_default: bool = False,
) -> None:
    """A published flag sets its setting, in both spellings.

    Args:
        parse: from words to a configuration.
        entry: of flags.json.
        table: where its flags end.
        beside: what must be typed, too.
        is_default: whether the value typed is the default: then nothing changes.
    """
    name = entry["flags"][0].strip("-")
    setting, typed, value = table[name.replace("-", "_")]
    before = settings(parse(*beside)).get(setting)
    if typed is OPPOSITE:
        value = not before
        typed = str(int(value))
    assert (before == value) == is_default, f"{setting} is {before} without the flag: nothing would be seen"
    words = [typed] if isinstance(typed, str) else typed
    for spelling in {name.replace("-", "_"), name.replace("_", "-")}:
        found = settings(parse(*beside, f"--{spelling}", *words))[setting]
        assert found == value, f"--{spelling} {' '.join(words)}: {setting} is {found}"
