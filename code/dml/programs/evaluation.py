"""An evaluation, of ``code/evaluate.py``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lightning_fabric import Fabric

from dml.cli.evaluate import complete
from dml.config import DataConfig, EvaluateConfig
from dml.data import load_dataset
from dml.data.copies import same_image_in
from dml.data.findings import warn_of_findings
from dml.data.run_split import judged_as_in_the_run
from dml.data.screening import screened, screening_for
from dml.data.unlabelled import FEWEST_TO_MAP, load_unlabelled
from dml.errors import UserError
from dml.evaluation.baselines import Judge
from dml.evaluation.collection import Collection
from dml.evaluation.embedding import create_evaluator, embed_records
from dml.evaluation.files import write_collection, write_files
from dml.evaluation.glances import look_at
from dml.evaluation.series import series_in, with_distinct_recall
from dml.evaluation.uncertainty import judge_uncertainty, require_uncertainty
from dml.models import EmbeddingNet
from dml.models.convert import LoadedModel
from dml.models.features import for_images_of, network_to_judge
from dml.places import from_home
from dml.tracking import say, table
from dml.training.launch import launch


def run(config: EvaluateConfig) -> None:
    """Evaluate a checkpoint, and say and write what ``config`` asks for. UserError for what does not fit."""
    loaded = network_to_judge(config)
    config = complete(config, loaded)
    loaded = for_images_of(loaded, config.crop_size)
    if config.uncertainty:
        require_uncertainty(loaded.architecture, config.judged)
    fabric = launch(config)
    model = fabric.to_device(loaded.model)
    if config.l2_norm is not None:
        model.architecture = replace(model.architecture, l2_norm=config.l2_norm)
    say(f"{config.judged}: {loaded.description}, on {fabric.device}")
    if config.unlabelled:
        embed(config, model, fabric)
    else:
        judge(config, loaded, fabric)


def judge(config: EvaluateConfig, loaded: LoadedModel, fabric: Fabric) -> None:
    """Say how well images of a class find each other, and write what was asked for."""
    model = loaded.model
    data, notes = judged_as_in_the_run(
        load_dataset(config.dataset, config.data_dir, split=_split_of(loaded)),
        config.data_dir,
        Path(config.judged),
        loaded.split,
        (loaded.config or {}).get("data"),
        take_new=config.new_classes,
    )
    data = screened(data, config.data_dir, screening_for(config, only=data.judging))
    if config.tsne and len(data.query) < FEWEST_TO_MAP:
        raise UserError(f"--tsne: of {len(data.query)} images there is no map, it takes {FEWEST_TO_MAP}: leave it out")
    if fabric.is_global_zero:
        if notes:
            say("\n".join(notes))
        if data.is_own:
            warn_of_findings(data, copies_answer=config.keep_copies)
    same = same_image_in(data) if data.is_own and not config.keep_copies else None
    evaluator = create_evaluator(
        data.query,
        data.gallery,
        fabric=fabric,
        input_spec=model.input_spec,
        resize=config.resize,
        crop_size=config.crop_size,
        pillow=config.pillow,
        batch_size=config.batch_size,
        workers=config.workers,
        recall_ks=data.recall_ks,
        metrics=config.metrics,
        image_numbers=None if same is None else [same[split] for split in data.searched],
        distance=config.eval_distance,
        ties_count_for_query=data.ties_count_for_query,
        seed=config.seed,
    )
    evaluation = evaluator.evaluate(model, fabric.device, progress=data.name)
    rows, series = {}, None
    if fabric.is_global_zero and (data.is_own or config.baselines):
        glances = [look_at(data.parts[split]) for split in data.searched]
        if data.is_own:
            numbers = None if same is None else [same[split] for split in data.searched]
            labels = [data.parts[split].labels for split in data.searched]
            series = series_in([seen.prints for seen in glances], labels, numbers)
            evaluation = with_distinct_recall(evaluation, series, distance=config.eval_distance)
        if config.baselines:
            rows = Judge(data, evaluator, series, fabric.device).of_images(glances)
    unsure = judge_uncertainty(model, evaluation, data, config, fabric) if config.uncertainty else None
    if fabric.is_global_zero:
        say(f"\n{data.name}, {len(data.query)} queries, {config.eval_distance}, in per cent:")
        say(table(rows | {Path(config.judged).name: evaluation.metrics}))
        for line in evaluation.remarks:
            say(line)
        if unsure is not None:
            say(f"\n{unsure.summary()}")
        write_files(config, data, evaluation, unsure)


def _split_of(loaded: LoadedModel) -> str:
    """How the run splits a user's own images that do not say; one that tested nothing is judged on other classes."""
    stored = ((loaded.config or {}).get("data") or {}).get("split", DataConfig.split)
    return DataConfig.split if stored == "all" else stored


def embed(config: EvaluateConfig, model: EmbeddingNet, fabric: Fabric) -> None:
    """Embed images without classes, and write what was asked for."""
    at_least = FEWEST_TO_MAP if config.tsne else 2 if config.gallery else 1
    folder = from_home(config.data_dir)
    images = load_unlabelled(folder, at_least=at_least, screening=screening_for(config)).train
    embeddings = embed_records(model, images, config, fabric, progress="images")
    if fabric.is_global_zero:
        say(f"\n{config.data_dir}: {len(images)} images without classes, and so no metrics")
        write_collection(config, Collection(images, embeddings, distance=config.eval_distance, seed=config.seed))
