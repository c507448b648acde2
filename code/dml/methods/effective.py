"""The settings of a run with a value for everything that was left open, so that its record says what was used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dml.config import TrainConfig
from dml.data.samplers import SAMPLERS
from dml.data.unlabelled import without_classes
from dml.errors import UserError
from dml.losses import LOSSES, choose_loss
from dml.losses.self_taught import SELF_TAUGHT_LOSSES
from dml.losses.transfer import TRANSFER_LOSSES
from dml.miners import MINERS
from dml.models.backbones import class_of, traits_of
from dml.models.classifiers import classifier_with_stem, default_stem
from dml.options import Spec
from dml.recipes import RECIPES


def effective(config: TrainConfig) -> TrainConfig:
    """The same settings, each option of the loss and of its miner there, and what is unset and means "as published",
    "the network's own" or "as the images are" replaced by what that is.

    What has a value keeps it: a continued run goes on with what it recorded, whatever the defaults have become since.
    ``--select`` stays open: a folder may bring held-out images of its own, so ``dml.training.session`` settles it.

    Raises:
        UnknownNameError: no such network, loss, miner or sampler.
        UserError: options that the loss does not have, or ``--unlabelled`` of a data set that has classes.
    """
    settle = {
        "train.py": _supervised,
        "train_target.py": _transfer,
        "train_stml.py": _self_taught,
        "classify.py": _classification,
    }
    config = settle[config.program](config)
    # Of named data sets the protocol is fixed: copies count there.
    keep_copies = config.evaluation.keep_copies or config.data.dataset != "folder"
    evaluation = replace(config.evaluation, keep_copies=keep_copies, baselines=_with_baselines(config))
    return replace(config, loss=replace(config.loss, complete=True), evaluation=evaluation)


def _with_baselines(config: TrainConfig) -> bool | None:
    """Whether simple baselines are judged too; None where nothing is tested by its neighbours."""
    has_classes = config.self_taught is None or not config.self_taught.unlabelled
    if config.classification is not None or not has_classes or config.data.split == "all":
        return config.evaluation.baselines
    return config.data.dataset == "folder" if config.evaluation.baselines is None else config.evaluation.baselines


def _supervised(config: TrainConfig) -> TrainConfig:
    asked, optim = config.loss, config.optim
    spec = choose_loss(asked.loss, memory=asked.memory).spec
    miner = asked.miner or spec.default_miner
    owners = [spec] if miner is None else [spec, MINERS[miner]]
    _refuse_unknown(config, *owners)
    of_loss = spec.own(asked.options)
    fixing = None if asked.complete else miner  # what a miner fixes is on record then
    options, scale = spec.complete(of_loss, miner=fixing, model=config.model.model), optim.proxy_lr_scale
    if scale is None and spec.lr_scale is not None:
        scale = spec.parameter_lr_scale(options, base_lr=optim.lr)
    elif spec.lr_option is not None and spec.lr_option not in of_loss:
        options[spec.lr_option] = scale * optim.lr if spec.lr_is_absolute else scale
    if miner is not None:
        options |= MINERS[miner].complete(asked.options)
    config = replace(
        config,
        loss=replace(asked, miner=miner, options=options),
        optim=replace(optim, proxy_lr_scale=scale, head_lr=_head_lr(config)),
    )
    return _with_sampler(_with_crop(config))


def _transfer(config: TrainConfig) -> TrainConfig:
    spec, scale = TRANSFER_LOSSES[config.loss.loss], config.optim.proxy_lr_scale
    _refuse_unknown(config, spec)
    if scale is None and spec.with_proxy_anchor:
        scale = LOSSES["proxy_anchor"].lr_scale
    config = replace(
        config,
        loss=replace(config.loss, options=spec.complete(config.loss.options)),
        optim=replace(config.optim, proxy_lr_scale=scale),
    )
    return _with_sampler(_with_crop(config))


def _self_taught(config: TrainConfig) -> TrainConfig:
    spec, data, asked = SELF_TAUGHT_LOSSES[config.loss.loss], config.data, config.self_taught
    _refuse_unknown(config, spec)
    unlabelled = without_classes(data.dataset, Path(data.data_dir), asked.unlabelled)
    config = replace(
        config,
        loss=replace(config.loss, options=spec.complete(config.loss.options)),
        optim=replace(config.optim, head_lr=_head_lr(config)),
        self_taught=replace(asked, unlabelled=unlabelled),
    )
    return _with_crop(config)


def _classification(config: TrainConfig) -> TrainConfig:
    model, asked, crop = config.model.model, config.classification, config.data.crop_size
    stem = asked.stem or default_stem(model, crop)
    config = replace(
        config,
        data=replace(config.data, crop_size=crop or class_of(classifier_with_stem(model, stem)).input_spec.crop_size),
        classification=replace(asked, stem=stem),
    )
    return _with_sampler(config)


def _with_crop(config: TrainConfig) -> TrainConfig:
    """The network's own size."""
    crop = config.data.crop_size or traits_of(config.model.model).input_spec.crop_size
    return replace(config, data=replace(config.data, crop_size=crop))


def _with_sampler(config: TrainConfig) -> TrainConfig:
    """The sampler that the recipe uses with and without ``--IPC``."""
    data = config.data
    name = data.sampler or (RECIPES[config.recipe].ipc_sampler if data.IPC else "random")
    return replace(config, data=replace(data, sampler=SAMPLERS.canonical(name)))


def _head_lr(config: TrainConfig) -> float:
    return config.optim.lr if config.optim.head_lr in (None, -1) else config.optim.head_lr


def _refuse_unknown(config: TrainConfig, *owners: Spec) -> None:
    """UserError for an option of another version or another loss: it would go unheeded."""
    if unknown := [flag for flag in config.loss.options if not any(flag in spec.options for spec in owners)]:
        raise UserError(f"options that {config.loss.loss} does not have: {', '.join(unknown)}")
