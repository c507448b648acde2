"""What is imported before it is needed: large packages are not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from entrypoints import ROOT

LATER = {
    *("torchvision", "pytorch_metric_learning", "sklearn", "scipy", "matplotlib", "plotly", "wandb", "adamp"),
    *("lightning_fabric", "torch._dynamo", "timm", "optuna", "submitit", "tensorboard"),
}
PROGRAM = """
import json, runpy, sys
sys.path.insert(0, {code!r})
sys.argv = {words!r}
try:
    {statement}
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
RUN = "runpy.run_path(sys.argv[0], run_name='__main__')"


def imported(statement: str, *words: str) -> set[str]:
    """The modules that a Python of its own has after ``statement``."""
    program = PROGRAM.format(code=str(ROOT / "code"), words=list(words), statement=statement)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    return set(json.loads(next(line for line in done.stderr.splitlines() if line.startswith("["))))


def test_the_package_alone_costs_nothing():
    modules = imported("import dml; dml.__version__, dir(dml)")
    assert {name for name in modules if name.startswith("dml")} == {"dml", "dml.version"}
    assert not modules & {*LATER, "torch", "numpy"}


@pytest.mark.parametrize(
    "entry",
    [
        "train.py",
        "train_target.py",
        "train_stml.py",
        "main.py",
        "classify.py",
        "evaluate.py",
        "export.py",
        "compare.py",
    ],
)
def test_help(entry):
    modules = imported(RUN, str(ROOT / "code" / entry), "--help")
    assert "dml.cli.parser" in modules
    assert not modules & LATER


def test_help_of_an_action():
    modules = imported(RUN, str(ROOT / "code" / "search.py"), "index", "--help")
    assert "dml.cli.search" in modules
    assert not modules & {*LATER, "torch", "faiss", "pymilvus"}


def test_a_mistake():
    modules = imported(RUN, str(ROOT / "code" / "train.py"), "--loss", "tripet")
    assert "dml.losses" in modules
    assert not modules & LATER


def test_losses_and_figures_of_embeddings():
    call = "dml.create_loss('proxy_anchor', num_classes=2, embedding_size=4); dml.evaluate_embeddings; dml.resolve()"
    modules = imported(f"import dml; {call}")
    assert "torch" in modules
    assert not modules & (LATER - {"torch._dynamo"})  # torch's, of the parameters that a loss draws


def test_steps_of_the_losses_of_the_proxy_anchor_family():
    """They have the numbers of a library that takes most of a second to import."""
    step = "create_loss(name, num_classes=2, embedding_size=4)(torch.randn(6, 4), torch.arange(6) % 2)"
    names = ("MS", "Contrastive", "Triplet", "NPair")
    modules = imported(f"import torch; from dml import create_loss; [{step} for name in {names}]")
    assert "dml.losses" in modules
    assert not modules & (LATER - {"torch._dynamo"})
