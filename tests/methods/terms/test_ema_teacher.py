"""The moving-average teacher beside a loss: its lists and its way by hand, and what a checkpoint holds of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dml.cli.train import resolve_train
from dml.data import ImageRecords
from dml.data.samplers import RandomSampler
from dml.losses import create_loss
from dml.methods.base import Given
from dml.methods.build import build_method
from dml.methods.supervised import SupervisedMethod
from dml.methods.terms.base import Seen
from dml.methods.terms.ema_teacher import EMATeacher
from dml.models import create_model, model_from_config
from dml.structures import Batch, Progress

LABELS = torch.arange(6) // 2
MOMENTUM = 0.75
IMAGES = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def method(**options) -> SupervisedMethod:
    torch.manual_seed(0)
    model = create_model("resnet18", embedding_size=8, pretrained=False, l2_norm=False)
    options = {"momentum": MOMENTUM, "weight": 50.0, "temperature": 0.5} | options
    return SupervisedMethod(
        model=model,
        criterion=create_loss("Proxy_Anchor", num_classes=3, embedding_size=8),
        sampler=RandomSampler(np.zeros(6, dtype=np.int64), batch_size=6),
        terms=[EMATeacher(model, **options)],
    ).train()


def one_step(trained: SupervisedMethod) -> dict[str, float]:
    optimizer = torch.optim.SGD([p for group in trained.param_groups() for p in group.parameters], lr=0.05)
    output = trained(Batch(IMAGES, LABELS, torch.arange(6)), Progress(0, 4))
    output.loss.backward()
    optimizer.step()
    trained.after_optimizer_step()
    return {name: value.item() for name, value in output.logs.items()} | {"loss": output.loss.item()}


def by_hand(student: np.ndarray, teacher: np.ndarray, *, weight: float, tau: float) -> float:
    """``weight · τ² · mean over anchors of Σ p' log(p'/p)``, loop by loop."""
    lists = []
    for rows in (student, teacher):
        unit = [row / math.sqrt(sum(x * x for x in row)) for row in rows]
        odds = [[math.exp(sum(a * b for a, b in zip(i, j, strict=True)) / tau) for j in unit] for i in unit]
        lists.append([[value / sum(row) for value in row] for row in odds])
    ours, theirs = lists
    apart = [sum(t * math.log(t / s) for t, s in zip(*pair, strict=True)) for pair in zip(theirs, ours, strict=True)]
    return weight * tau**2 * sum(apart) / len(apart)


class Fixed(torch.nn.Module):
    """A network that embeds anything as it was told."""

    def __init__(self, embeddings: torch.Tensor):
        super().__init__()
        self.register_buffer("embeddings", embeddings)

    def forward(self, images):
        return type("Output", (), {"embedding": self.embeddings})


def test_the_term_by_hand():
    """Rows of any length count by their direction alone."""
    student, teacher = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    term = EMATeacher(Fixed(3 * teacher), momentum=0.9, weight=7.0, temperature=0.4)
    seen = Seen(Batch(IMAGES, LABELS, torch.arange(6)), student.requires_grad_(), LABELS, term, Progress(0, 1))
    value = term.loss(seen)
    expected = by_hand(student.detach().numpy(), teacher.numpy(), weight=7.0, tau=0.4)
    assert value.item() == pytest.approx(expected, rel=1e-9)
    assert torch.autograd.gradcheck(
        lambda rows: term.loss(Seen(seen.batch, rows, LABELS, term, seen.progress)), student
    )


def test_the_teacher_follows_after_each_step():
    trained = method()
    teacher = {name: value.clone() for name, value in trained.ema_teacher.teacher.network.state_dict().items()}
    for _ in range(3):
        one_step(trained)
        for name, value in trained.model.state_dict().items():
            floating = value.is_floating_point()
            teacher[name] = MOMENTUM * teacher[name] + (1 - MOMENTUM) * value if floating else value.clone()
    now = trained.ema_teacher.teacher.network.state_dict()
    # The batch statistics that the teacher's own pass leaves behind in between are its as well.
    learned = {name for name, _ in trained.model.named_parameters()}
    for name in learned:
        torch.testing.assert_close(now[name], teacher[name])


def test_the_first_step_is_the_loss_alone_and_the_next_keep_to_the_teacher():
    trained = method()
    first, second = one_step(trained), one_step(trained)
    assert first["ema_teacher_loss"] == pytest.approx(0, abs=1e-6)
    assert second["ema_teacher_loss"] > 1e-6
    for logs in (first, second):
        assert logs["loss"] == pytest.approx(logs["rank_loss"] + logs["ema_teacher_loss"], rel=1e-6)


def test_the_teacher_is_state_but_never_trained_and_not_in_the_best_checkpoint():
    trained = method()
    in_groups = {id(p) for group in trained.param_groups() for p in group.parameters}
    assert not in_groups & {id(p) for p in trained.ema_teacher.parameters()}
    assert not any(p.requires_grad for p in trained.ema_teacher.parameters())
    names = [name for name in trained.state_dict() if name.startswith("ema_teacher.")]
    assert len(names) == len(trained.model.state_dict())
    assert all(name.startswith(trained.training_only) for name in names)


def test_a_step_in_mixed_precision_computes_its_lists_in_float32():
    trained, seen = method(), []
    trained.ema_teacher.divergence.register_forward_hook(lambda _, rows, value: seen.extend([*rows[:2], value]))
    embedded = []
    trained.ema_teacher.teacher.network.embedding.register_forward_hook(lambda *out: embedded.append(out[-1]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = trained(Batch(IMAGES, LABELS, torch.arange(6)), Progress(0, 4))
    assert [rows.dtype for rows in seen] == [torch.float32] * 3
    assert embedded[0].dtype == torch.bfloat16
    assert output.loss.isfinite()


def test_it_stands_beside_self_distillation_and_the_introspective_metric():
    typed = {"loss": "MS_lsd", "ema_teacher": True, "introspective": True, "ema_momentum": 0.5, "mixup": True}
    sizes = {"embedding_size": 8, "batch_size": 6, "model": "resnet18", "pretrained": False, "bn_freeze": True}
    config = resolve_train(sizes | typed)
    train = ImageRecords(tuple("abcdef"), LABELS.numpy(), ("a", "b", "c"))
    model = model_from_config(config.model, introspective=config.introspective)
    trained = build_method(Given(config, model, train)).train()
    assert [term.name for term in trained.terms] == ["distillation", "ema_teacher"]
    one_step(trained)
    optimizer_step = trained(Batch(IMAGES, LABELS, torch.arange(6)), Progress(2, 4))
    assert {"rank_loss", "kd_loss", "ema_teacher_loss", "mixup_loss"} <= set(optimizer_step.logs)
    assert optimizer_step.logs["kd_loss"] > 0
    assert optimizer_step.logs["ema_teacher_loss"] > 0
