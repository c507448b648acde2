"""Which method the settings of a run choose."""

from __future__ import annotations

import pytest

from dml.cli.classify import parse_classify
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.methods import classification, mixup, self_supervised, self_taught, supervised, transfer
from dml.methods.build import builder_of

pytestmark = pytest.mark.filterwarnings("ignore::dml.config.ConfigWarning")


@pytest.mark.parametrize(
    ("parse", "line", "module"),
    [
        (parse_train, "--loss Proxy_Anchor", supervised),
        (parse_train, "--loss triplet_lsd --ema-teacher", supervised),
        (parse_train, "--loss Proxy_Anchor --mixup 1", mixup),
        (parse_train, "--loss Proxy_Anchor --introspective", mixup),  # as IDML's recipe has it
        (parse_target, "--loss RKD --source-ckpt best.pt", transfer),
        (parse_stml, "", self_taught),
        (parse_stml, "--method byol", self_supervised),
        (parse_classify, "--dataset cifar10", classification),
    ],
)
def test_the_method_of(parse, line, module):
    assert builder_of(parse(["--dataset", "cub", *line.split()]).config) is module.build
