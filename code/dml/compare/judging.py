"""The one look at the test split: through the networks of a seed's folds, one by one and their embeddings together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dml.config import TrainConfig, train_config_from_json
from dml.data import RetrievalData, data_from_config
from dml.data.copies import same_image_in
from dml.evaluation.embedding import create_evaluator
from dml.evaluation.evaluator import Evaluation, Evaluator, evaluate_embeddings
from dml.metrics_file import json_object, read_utf8
from dml.models.convert import load_model_checkpoint
from dml.training.feature_store import FeatureStore
from dml.training.launch import launch
from dml.writing import write_text_atomically


@dataclass(frozen=True)
class Judged:
    """Figures on the test classes of the networks that were trained with one seed.

    Attributes:
        single: of each fold's network metric → value, in the order of the folds.
        concatenated: of all folds' embeddings, each of unit length, side by side.
    """

    single: tuple[dict[str, float], ...]
    concatenated: dict[str, float]


def judge(folders: list[str], file: str) -> None:
    """Judge the networks of ``folders``, those of best.pt, and write it down in ``file``."""
    evaluations = []
    for folder in map(Path, folders):
        evaluator, evaluation = _judge(folder)
        evaluations.append(evaluation)
    judged = Judged(tuple(e.metrics for e in evaluations), concatenated(evaluator, evaluations))
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(json.dumps(vars(judged), indent=1) + "\n", Path(file))


def read_judged(file: Path) -> Judged | None:
    """What ``judge`` wrote; None: nobody has looked yet."""
    try:
        stored = json_object(read_utf8(file), str(file))
    except FileNotFoundError:
        return None
    return Judged(tuple(stored["single"]), stored["concatenated"])


def concatenated(evaluator: Evaluator, evaluations: list[Evaluation]) -> dict[str, float]:
    """Metrics of the embeddings of several networks, each brought to unit length, side by side: by their angle."""
    first = evaluations[0]
    gallery = None
    if first.gallery_embeddings is not None:
        gallery = side_by_side([e.gallery_embeddings for e in evaluations])
    return evaluate_embeddings(
        side_by_side([e.query_embeddings for e in evaluations]),
        first.query_labels,
        gallery,
        first.gallery_labels,
        recall_ks=evaluator.recall_ks,
        metrics=evaluator.metrics,
        image_ids=evaluator.image_ids,
        distance="cosine",
        ties_count_for_query=evaluator.ties_count_for_query,
        seed=evaluator.seed,
    )


def side_by_side(embeddings: list[Tensor]) -> Tensor:
    """K tensors (N, D) → (N, K·D), every part of unit length."""
    return torch.cat([normalize(part) for part in embeddings], 1)


def _judge(folder: Path) -> tuple[Evaluator, Evaluation]:
    config = train_config_from_json(read_utf8(folder / "config.json"))
    fabric = launch(config.run)
    model = fabric.to_device(load_model_checkpoint(folder / "best.pt").model)
    data = data_from_config(config.data, seed=config.run.seed, run=folder)
    assert isinstance(data, RetrievalData), "a run that holds out classes has others to test on"
    same = same_image_in(data) if data.is_own and not config.evaluation.keep_copies else None
    evaluator = create_evaluator(
        data.query,
        data.gallery,
        fabric=fabric,
        input_spec=model.input_spec,
        resize=config.data.resize,
        crop_size=config.data.crop_size,
        pillow=config.data.pillow,
        batch_size=config.data.batch_size,
        workers=config.data.workers,
        recall_ks=data.recall_ks,
        metrics=config.evaluation.metrics,
        image_numbers=None if same is None else [same[split] for split in data.searched],
        distance=config.evaluation.eval_distance,
        ties_count_for_query=data.ties_count_for_query and data.gallery is not None,
        seed=config.run.seed,
    )
    _take_kept_features(config, evaluator, data.query, data.gallery, model, fabric)
    return evaluator, evaluator.evaluate(model, fabric.device, progress="test images")


def _take_kept_features(config: TrainConfig, evaluator, query, gallery, model, fabric) -> None:
    """With ``--feature-cache`` the network's backbone is the same in every run, and so are its features."""
    if config.finetuning.feature_cache is None:
        return
    how = {"precision": config.run.precision}
    store = FeatureStore(Path(config.finetuning.feature_cache), model, config.data, fabric, **how)
    size = config.data.batch_size
    evaluator.query = store.batches(query, within=[query], size=size)
    if gallery is not None:
        evaluator.gallery = store.batches(gallery, within=[gallery], size=size)
