"""``--loss pml/CLASS`` and ``--miner pml/CLASS``: what is recorded, what trains how, and what does not fit."""

from __future__ import annotations

import pytest

from dml.cli.train import parse_train
from dml.config import train_config_from_json
from dml.losses import choose_loss
from dml.methods.criterion import create_criterion
from dml.miners.library import LibraryMiner

pytestmark = pytest.mark.filterwarnings("ignore:--loss pml/:dml.config.ConfigWarning")
CIRCLE = ("--loss", "pml/CircleLoss", "--loss-args", '{"m": 0.3}')


def config(*arguments: str):
    return parse_train(arguments).config


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        parse_train(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("train.py: error: ")
    return said


def test_what_is_recorded_builds_it_again():
    found = config(*CIRCLE, "--miner", "pml/TripletMarginMiner", "--miner-args", '{"margin": 0.5}')
    assert found.loss.options == {"loss-args": '{"m": 0.3}', "miner-args": '{"margin": 0.5}'}
    assert "_pml_CircleLoss_" in found.default_run_name()
    again = train_config_from_json(found.to_json())
    assert again == found
    criterion = create_criterion(again, choose_loss(again.loss.loss, memory=False), 5)
    assert isinstance(criterion.miner, LibraryMiner)
    assert (criterion.criterion.loss.m, criterion.miner.miner.margin) == (0.3, 0.5)


def test_defaults_and_both_spellings():
    assert config("--loss", "pml/SupConLoss").loss.options == {"loss-args": "{}"}
    assert config("--loss", "pml/SupConLoss", "--batch_mining", "pml/HDCMiner", "--miner_args", "{}").loss.miner
    assert config("--loss", "pml/SupConLoss_lsd").distillation is not None


def test_its_weights_learn_as_proxies_do():
    assert config("--loss", "pml/SubCenterArcFaceLoss").optim.proxy_lr_scale == 100
    assert config("--loss", "pml/ArcFaceLoss", "--proxy-lr-scale", "5").optim.proxy_lr_scale == 5
    assert config("--loss", "pml/CircleLoss").optim.proxy_lr_scale is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--loss", "pml/Circle"], "has no loss 'Circle': there are pml/CircleLoss, "),
        (["--loss", "pml/VICRegLoss"], "cannot be used: it compares two views"),
        (["--loss", "pml/CircleLoss", "--loss-args", '{"n": 1}'], "has no argument 'n': its arguments are m, gamma, "),
        (["--loss", "pml/CircleLoss", "--loss-args", "m=1"], "--loss-args 'm=1' is no JSON"),
        (["--loss", "pml/CircleLoss", "--miner", "pml/BatchHard"], "there are pml/BatchHardMiner, "),
        (["--loss", "pml/CircleLoss", "--miner", "pml/HDCMiner", "--miner-args", '{"x": 1}'], "no argument 'x'"),
        (["--loss", "pml/CircleLoss", "--miner", "distance"], "cannot serve --loss pml/CircleLoss; it takes pml/CLASS"),
        (["--loss", "pml/CircleLoss", "--miner-args", "{}"], "--miner-args is used with --batch_mining (--miner) pml/"),
        (["--loss", "pml/CircleLoss", "--mrg", "0.1"], "--mrg is not used by --loss pml/CircleLoss, but by"),
        (["--loss", "pml/CircleLoss", "--introspective"], "--introspective is not used by --loss pml/CircleLoss"),
        (["--loss", "pml/CircleLoss", "--enableMemory", "1"], "--enableMemory is not used by --loss pml/CircleLoss"),
        (["--loss", "triplet", "--miner", "pml/HDCMiner"], "cannot serve --loss triplet; it takes distance, "),
        (["--loss", "MS", "--loss-args", "{}"], "--loss-args is not used by --loss MS, but by --loss pml/CLASS"),
        (["--loss", "triplet", "--miner-args", "{}"], "--miner-args is not used by --batch_mining distance, but by"),
    ],
)
def test_what_does_not_fit(capsys, arguments, told):
    assert told in refused(capsys, *arguments)
