"""Every training script parses: its command line is taken from bash itself and given to the real parser."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dml.cli.classify import parse_classify
from dml.cli.evaluate import parse_evaluate
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted((ROOT / "scripts").glob("*/*.sh"))
PARSERS = {
    "train.py": parse_train,
    "evaluate.py": parse_evaluate,
    "train_target.py": parse_target,
    "train_stml.py": parse_stml,
    "main.py": parse_stml,
    "classify.py": parse_classify,
}


def command_of(script: Path, *extra: str) -> list[str]:
    """The words that the script hands to Python."""
    environment = os.environ | {"PYTHON": "echo"}
    done = subprocess.run(["bash", script, *extra], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_script(script):
    program, *arguments = command_of(script)
    entry = Path(program)
    assert (ROOT / "code" / entry.name).exists()
    PARSERS[entry.name](arguments)
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert "# Paper:" in text
    assert "# Reported:" in text


def test_there_are_scripts_for_every_benchmark():
    assert {"cub", "cars", "sop", "inshop", "cifar10", "cifar100", "imagenet"} <= {
        script.parent.name for script in SCRIPTS
    }


def test_further_flags_win():
    script = ROOT / "scripts/cub/proxy_anchor_resnet50.sh"
    config = parse_train(command_of(script, "--seed", "7", "--batch_size", "30")[1:]).config
    assert (config.run.seed, config.data.batch_size) == (7, 30)
