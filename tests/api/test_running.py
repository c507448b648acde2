"""Command lines and settings as configurations, from Python."""

from __future__ import annotations

import pytest

import dml
from dml.cli.classify import parse_classify
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::dml.config.ConfigWarning")


@pytest.mark.parametrize(
    ("line", "parse"),
    [
        ("--loss triplet --dataset cars --lr 1e-5", parse_train),
        ("python code/train.py --loss triplet", parse_train),
        ("train_target.py --source-ckpt best.pt", parse_target),
        ("python3 code/train_stml.py --method moco --dataset cub", parse_stml),
        ("python3 code/main.py --method moco --dataset cub", parse_stml),
        ("classify.py --dataset cifar100 --introspective", parse_classify),
    ],
)
def test_a_line_means_what_the_program_makes_of_it(line, parse):
    words = line.split()
    expected = parse(words[next(i for i, word in enumerate(words) if word.startswith("--")) :]).config
    assert dml.resolve(line) == dml.resolve(words) == expected


def test_settings_are_flags():
    typed = "--loss margin --loss_margin_beta 0.8 --gpu-id -1 --metrics recall e_recall@1 --bn-freeze 0 --pretrained 1"
    settings = {"loss": "margin", "loss_margin_beta": 0.8, "gpu_id": -1, "metrics": ["recall", "e_recall@1"]}
    config = dml.resolve(**settings, bn_freeze=False, pretrained=True, IPC=None)
    assert config == parse_train(typed.split()).config
    assert dml.resolve("--lr 1 --epochs 3", lr=1e-3).optim.lr == 1e-3


@pytest.mark.parametrize("call", [dml.resolve, dml.train])
@pytest.mark.parametrize(
    ("line", "settings", "told"),
    [
        (
            "",
            {"los": "triplet"},
            r"train.py has no setting 'los'. Did you mean 'loss'\? Valid: .*, batch_size, .*, loss, ",
        ),
        ("main.py", {"mrg": 1}, "train_stml.py has no setting 'mrg'"),
        ("--los triplet", {}, r"unknown argument --los \(did you mean --loss\?\)"),
        ("", {"loss": "tripet"}, "unknown loss 'tripet'"),
        ("", {"lr": -1}, "--lr must be positive, got -1"),
        ("", {"epochs": "many"}, "argument --epochs: invalid int value: 'many'"),
        ("", {"resume_run": "nowhere"}, "--resume-run nowhere: no config.json there"),
    ],
)
def test_what_does_not_fit_is_raised(call, line, settings, told, capsys):
    with pytest.raises(UserError, match=told):
        call(line, **settings)
    assert capsys.readouterr() == ("", "")


def test_a_program_still_ends(capsys):
    with pytest.raises(UserError):
        dml.resolve(lr=-1)
    with pytest.raises(SystemExit):
        parse_train(["--lr", "-1"])
    assert "train.py: error: --lr must be positive" in capsys.readouterr().err
