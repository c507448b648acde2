"""Sessions with ``--compile``, by a compiler that runs what it is given: what is compiled, and for which sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dml.cli.stml import parse_stml
from dml.cli.train import parse_train
from dml.models.extract import as_written
from dml.programs import self_taught, supervised
from dml.training import compiling
from methods.test_steps_of_two_processes import SMALL

FLAGS = (
    *(
        "--dataset",
        "folder",
        "--model",
        "resnet18",
        "--pretrained",
        "0",
        "--embedding-size",
        "8",
        "--wandb",
        "disabled",
    ),
    *("--epochs", "2", "--crop-size", "16", "--resize", "16", "--workers", "0", "--pictures", "0"),
    *("--baselines", "0", "--bn-freeze", "0", "--precision", "32"),
)


class Compiler:
    """Runs graphs as they are; notes of each the sizes of its images, which variable ones have none of."""

    def __init__(self):
        self.called = 0
        self.seen: list[tuple] = []

    def __call__(self, graph, inputs):
        self.called += 1
        self.seen += [tuple(x.shape) for x in inputs if isinstance(x, torch.Tensor) and x.ndim == 4 and x.shape[1] == 3]
        assert not any(isinstance(x, torch.SymInt) for x in inputs), "a size is variable"
        return graph.forward

    @property
    def batches(self) -> list[tuple]:
        """The sizes that graphs were made for, weights left out."""
        return [shape for shape in self.seen if shape[2] == 16]


@pytest.fixture
def compiler(monkeypatch) -> Compiler:
    compiler = Compiler()
    monkeypatch.setattr(compiling, "BACKEND", compiler)
    torch._dynamo.reset()
    return compiler


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [value for line in lines for name, value in line.items() if name in ("train/loss", "eval/recall_at_1")]


def both(run, parse, flags, digits, tmp_path) -> list[Path]:
    """The folders of a run with and one without ``--compile``."""
    folders = []
    for name in ("1", "0"):
        where = ("--data-dir", str(digits), "--log-dir", str(tmp_path), "--run-name", name, "--compile", name)
        with SMALL:
            folders.append(run(parse([*FLAGS, *flags, *where])))
    return folders


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_teacher_with_labels(compiler, digits, tmp_path):
    """Student and teacher of self-distillation, each for its batch alone, whatever evaluations come between."""
    flags = ("--loss", "multisimilarity_lsd", "--batch-size", "16", "--eval-first", "1", "--warm", "0")
    compiled, plain = both(supervised.run, parse_train, flags, digits, tmp_path)
    assert set(compiler.batches) == {(16, 3, 16, 16)}
    assert 2 <= len(compiler.batches) <= 3  # student, teacher; perhaps anew where gradients are off
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-4)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_training_without_labels_in_pieces(compiler, digits, tmp_path):
    flags = ("--batch-size", "16", "--IPC", "2", "--bg_embedding_size", "16", "--accumulate", "2", "--view", "2")
    compiled, plain = both(self_taught.run, parse_stml, flags, digits, tmp_path)
    assert set(compiler.batches) == {(16, 3, 16, 16)}
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-4)


def test_a_model_as_written(compiler):
    model = torch.nn.Linear(2, 2)
    model.compile(backend=compiler, dynamic=False)
    with as_written(model):
        model(torch.ones(3, 2))
        assert not compiler.called
    model(torch.ones(3, 2))
    assert compiler.called == 1
