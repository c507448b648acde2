#!/usr/bin/env python3
"""Retrieval metrics of a checkpoint, ours or published, on the test split of a data set.

python code/evaluate.py --ckpt logs/cub/RUN/best.pt
python code/evaluate.py --ckpt cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth --dataset cub --json metrics.json
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from dml.cli import guarded, parse_evaluate
from dml.config import DataConfig, EvalConfig, EvaluateConfig
from dml.data import RetrievalData, load_dataset
from dml.evaluation.evaluator import Evaluation
from dml.models.convert import LoadedModel, load_model_checkpoint
from dml.tracking import say, table
from dml.training.embedding import create_evaluator
from dml.training.launch import launch
from dml.training.pictures import draw_gallery, draw_tsne


def main() -> None:
    config = parse_evaluate()
    loaded = load_model_checkpoint(Path(config.ckpt))
    config = complete(config, loaded)
    fabric = launch(gpu_id=config.gpu_id, precision=config.precision, seed=config.seed)
    model = fabric.to_device(loaded.model)
    if config.l2_norm is not None:
        model.architecture = replace(model.architecture, l2_norm=config.l2_norm)
    say(f"{config.ckpt}: {loaded.description}")
    data = load_dataset(config.dataset, config.data_dir)
    evaluator = create_evaluator(
        data.query,
        data.gallery,
        fabric=fabric,
        input_spec=model.input_spec,
        resize=config.resize,
        crop_size=config.crop_size,
        batch_size=config.batch_size,
        workers=config.workers,
        recall_ks=data.recall_ks,
        metrics=config.metrics,
        distance=config.eval_distance,
        seed=config.seed,
    )
    evaluation = evaluator.evaluate(model, fabric.device, progress=data.name)
    if fabric.is_global_zero:
        say(f"\n{data.name}, {len(data.query)} queries, {config.eval_distance}, in per cent:")
        say(table({Path(config.ckpt).name: evaluation.metrics}))
        write(config, data, evaluation)


def complete(config: EvaluateConfig, loaded: LoadedModel) -> EvaluateConfig:
    """Fill what was not typed from the checkpoint's own run, then from the defaults.

    Raises:
        ValueError: a flag contradicts the checkpoint, or nothing says which data set to use.
    """
    network = loaded.architecture
    for flag, typed, found in (
        ("--model", config.model, network.backbone),
        ("--embedding-size", config.embedding_size, network.embedding_size),
    ):
        if typed is not None and typed != found:
            raise ValueError(f"{flag} {typed}, but {config.ckpt} holds {network.describe()}")
    run = loaded.config or {}
    stored = {**run.get("data", {}), **run.get("evaluation", {})}
    if config.dataset is not None and config.dataset != stored.get("dataset"):
        stored.pop("data_dir", None)
    defaults = {
        "dataset": None,
        "data_dir": DataConfig.data_dir,
        "resize": DataConfig.resize,
        "crop_size": None,
        "eval_distance": EvalConfig.eval_distance,
    }
    filled = {
        name: stored.get(name, default) if getattr(config, name) is None else getattr(config, name)
        for name, default in defaults.items()
    }
    if filled["dataset"] is None:
        raise ValueError(f"{config.ckpt} does not say which data set it was trained on: add --dataset NAME")
    return replace(config, **filled)


def write(config: EvaluateConfig, data: RetrievalData, evaluation: Evaluation) -> None:
    """The files that were asked for, each with a line that names it."""
    if config.json:
        metrics = {f"eval/{name}": value for name, value in evaluation.metrics.items()}
        Path(config.json).write_text(json.dumps(metrics, indent=1) + "\n")
        say(f"metrics: {config.json}")
    if config.save_embeddings:
        with Path(config.save_embeddings).open("wb") as file:  # by name, savez would add a suffix of its own
            np.savez(file, **arrays(data, evaluation))
        say(f"embeddings: {config.save_embeddings}")
    if config.gallery:
        draw_gallery(Path(config.gallery), evaluation, data, distance=config.eval_distance, seed=config.seed)
        say(f"gallery: {config.gallery}")
    if config.tsne:
        draw_tsne(Path(config.tsne), evaluation, data, seed=config.seed)
        say(f"t-SNE page: {config.tsne}")


def arrays(data: RetrievalData, evaluation: Evaluation) -> dict[str, np.ndarray]:
    """What ``--save-embeddings`` keeps: embeddings (N, D), labels (N,), paths (N,); with a gallery its three too."""
    named = {
        "embeddings": evaluation.query_embeddings.numpy(),
        "labels": evaluation.query_labels.numpy(),
        "paths": np.array(data.query.paths),
    }
    if data.gallery is not None:
        named |= {
            "gallery_embeddings": evaluation.gallery_embeddings.numpy(),
            "gallery_labels": evaluation.gallery_labels.numpy(),
            "gallery_paths": np.array(data.gallery.paths),
        }
    return named


if __name__ == "__main__":
    guarded(main)
