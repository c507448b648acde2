#!/usr/bin/env python3
"""Retrieval metrics of a checkpoint, ours or published, on the test split of a data set.

python code/evaluate.py --ckpt logs/cub/RUN/best.pt
python code/evaluate.py --ckpt cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth --dataset cub --json metrics.json
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dml.cli.entry import guarded
from dml.cli.evaluate import parse_evaluate
from dml.config import DataConfig, EvalConfig, EvaluateConfig
from dml.data import load_dataset
from dml.models.convert import LoadedModel, load_model_checkpoint
from dml.tracking import say, table
from dml.training.embedding import create_evaluator
from dml.training.evaluation_files import write_files
from dml.training.launch import launch
from dml.training.uncertainty import judge_uncertainty, require_uncertainty


def main() -> None:
    config = parse_evaluate()
    loaded = load_model_checkpoint(Path(config.ckpt))
    config = complete(config, loaded)
    if config.uncertainty:
        require_uncertainty(loaded.architecture, config.ckpt)
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
    unsure = judge_uncertainty(model, evaluation, data, config, fabric) if config.uncertainty else None
    if fabric.is_global_zero:
        say(f"\n{data.name}, {len(data.query)} queries, {config.eval_distance}, in per cent:")
        say(table({Path(config.ckpt).name: evaluation.metrics}))
        if unsure is not None:
            say(f"\n{unsure.summary()}")
        write_files(config, data, evaluation, unsure)


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
    if config.metrics is None:  # those of the run, and those that every network can be compared by
        filled["metrics"] = tuple(dict.fromkeys([*stored.get("metrics", ()), *EvalConfig.metrics]))
    return replace(config, **filled)


if __name__ == "__main__":
    guarded(main)
