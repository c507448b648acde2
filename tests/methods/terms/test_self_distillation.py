"""Self-distillation beside a loss: its weight, its teacher, and what a checkpoint holds of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dml.data.samplers import RandomSampler
from dml.losses import create_loss
from dml.methods.supervised import SupervisedMethod
from dml.methods.terms.self_distillation import SelfDistillation
from dml.models import create_model
from dml.structures import Batch, Progress

LABELS = torch.arange(6) // 2


def method(**options) -> SupervisedMethod:
    torch.manual_seed(0)
    model = create_model("resnet18", embedding_size=8, pretrained=False)
    return SupervisedMethod(
        model=model,
        criterion=create_loss("Proxy_Anchor", num_classes=3, embedding_size=8),
        sampler=RandomSampler(np.zeros(6, dtype=np.int64), batch_size=6),
        terms=[SelfDistillation(model, **options)],
    ).train()


def batch() -> Batch:
    return Batch(torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1)), LABELS, torch.arange(6))


def one_step(trained: SupervisedMethod, progress: Progress) -> dict[str, float]:
    parameters = [p for group in trained.param_groups() for p in group.parameters]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    output = trained(batch(), progress)
    output.loss.backward()
    optimizer.step()
    return {name: value.item() for name, value in output.logs.items()} | {"loss": output.loss.item()}


def test_first_epoch_is_the_loss_alone_and_the_teacher_stays_the_first_network():
    trained = method()
    before = {name: value.clone() for name, value in trained.distillation.teacher.state_dict().items()}
    assert set(one_step(trained, Progress(0, 4))) == {"loss"}
    torch.testing.assert_close(dict(trained.distillation.teacher.state_dict()), before, rtol=0, atol=0)


def test_the_student_becomes_the_teacher_at_the_end_of_an_epoch():
    trained = method()
    one_step(trained, Progress(0, 4))
    trained.end_epoch(Progress(0, 4))
    teacher, student = trained.distillation.teacher.network.state_dict(), trained.model.state_dict()
    torch.testing.assert_close(dict(teacher), dict(student), rtol=0, atol=0)
    one_step(trained, Progress(1, 4))
    assert not torch.equal(teacher["embedding.weight"], trained.model.state_dict()["embedding.weight"])


def test_the_weight_grows_with_the_epochs():
    """epoch / num_epochs · α · τ² (here against a teacher that is not the student)."""
    terms = []
    for epoch in (1, 2):
        trained = method(alpha=50.0, temperature=0.5)
        with torch.no_grad():
            trained.distillation.teacher.network.embedding.weight.mul_(torch.linspace(0, 1, 8)[:, None])
        logs = one_step(trained, Progress(epoch, 4))
        assert logs["loss"] == pytest.approx(logs["rank_loss"] + logs["kd_loss"], rel=1e-6)
        terms.append(logs["kd_loss"])
    assert terms[1] == pytest.approx(2 * terms[0], rel=1e-5)
    assert terms[0] > 0


def test_teacher_is_state_but_never_trained_and_not_in_the_best_checkpoint():
    trained = method()
    in_groups = {id(p) for group in trained.param_groups() for p in group.parameters}
    assert not in_groups & {id(p) for p in trained.distillation.parameters()}
    assert not any(p.requires_grad for p in trained.distillation.parameters())
    names = [name for name in trained.state_dict() if name.startswith("distillation.")]
    assert names
    assert all(name.startswith(trained.training_only) for name in names)


def test_the_published_proxynca_scales_the_student_alone():
    trained = method(student_scale=3.0)
    rows = trained.distillation.scaled(torch.randn(4, 8))
    torch.testing.assert_close(rows.norm(dim=1), torch.full((4,), 3.0))
