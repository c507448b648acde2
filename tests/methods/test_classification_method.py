"""Training a classifier: the introspective logits against their plain form, mixed batches, the step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dml.data.samplers import SAMPLERS
from dml.evaluation.classification import top_classes, top_k_accuracy
from dml.losses.introspective_logits import damping, introspective_logits
from dml.methods.classification import ClassificationMethod, Mixing
from dml.models.classifiers import ClassifierOutput, create_classifier
from dml.structures import Batch, Progress


def drawn(
    dtype: torch.dtype = torch.float64, batch: int = 5, classes: int = 4, features: int = 6
) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = [(batch, features), (classes, features), (classes,), (batch, 3)]
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    tensors[3] = tensors[3].relu()
    return [tensor.to(dtype).requires_grad_() for tensor in tensors]


def logits_of(f, w, b, u, tau=5.0):
    logits = f @ w.T + b
    return introspective_logits(logits, damping(logits, f, w, b, u, tau=tau))


def plainly(f, w, b, u, tau=5.0):
    """METHODS §15, classification, one image and one class at a time."""
    rows = []
    for i in range(len(f)):
        row = []
        for c in range(len(w)):
            z = w[c] @ f[i] + b[c]
            row.append(1 - (1 - z) * torch.exp(-(u[i] @ u[i]) / (tau * ((f[i] - w[c]) @ (f[i] - w[c])))))
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("tau", [5.0, 0.5])
def test_introspective_logits_are_those_of_the_formula(tau):
    given = drawn()
    value, plain = logits_of(*given, tau=tau), plainly(*given, tau=tau)
    torch.testing.assert_close(value, plain, rtol=1e-10, atol=1e-12)
    weights = torch.randn(value.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for ours, theirs in zip(
        torch.autograd.grad((value * weights).sum(), given),
        torch.autograd.grad((plain * weights).sum(), given),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)
        assert ours.abs().max() > 0  # the uncertainty's gradient too


def test_without_uncertainty_the_logits_are_the_plain_ones():
    f, w, b, u = drawn()
    torch.testing.assert_close(logits_of(f, w, b, torch.zeros_like(u)), f @ w.T + b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_upon_a_class_vector_stay_finite(dtype):
    f, w, b, u = drawn(dtype)
    with torch.no_grad():
        f[0] = w[1]
        f[2], w[3] = 0, 0
        u[0], u[2] = 1, 0
    value = logits_of(f, w, b, u)
    gradients = torch.autograd.grad(value.square().sum(), (f, w, b, u))
    assert value.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert value[0, 1].item() == pytest.approx(1.0, abs=1e-3)  # no distance, some uncertainty


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_keeps_pixels_and_labels_in_step(kind):
    """Image i is filled with its own number and has class i: whatever is mixed, both shares agree."""
    torch.manual_seed(5)
    count = 6
    images = torch.arange(count, dtype=torch.float64)[:, None, None, None].expand(count, 3, 16, 16).clone()
    labels = torch.arange(count)
    mixing, shares = Mixing(kind, num_classes=count), []
    for _ in range(10):
        mixed, targets = mixing(images, labels)
        assert mixed.shape == images.shape
        torch.testing.assert_close(targets.sum(1), torch.ones(count))
        expected = targets.double() @ torch.arange(count, dtype=torch.float64)
        torch.testing.assert_close(mixed.mean((1, 2, 3)), expected, rtol=1e-5, atol=1e-5)
        shares.append(float(targets[0, 0]))
        if kind == "cutmix":
            assert set(mixed.flatten().tolist()) <= set(range(count))  # no pixel is blended
    assert len({round(share, 3) for share in shares}) > 5


def test_mixing_with_a_probability():
    torch.manual_seed(0)
    images, labels = torch.randn(4, 3, 8, 8), torch.arange(4)
    mixing = Mixing("cutmix", num_classes=4, probability=0.5)
    mixed = [mixing(images, labels)[1].ndim == 2 for _ in range(200)]
    assert 70 < sum(mixed) < 130
    state = torch.get_rng_state()
    first = mixing(images, labels)
    torch.set_rng_state(state)
    torch.testing.assert_close(mixing(images, labels), first)  # a continued run draws the same


def method_of(**options) -> ClassificationMethod:
    torch.manual_seed(0)
    model = create_classifier("resnet18", classes=tuple("abcd"), uncertainty_size=options.pop("uncertainty_size", None))
    sampler = SAMPLERS["random"](np.arange(8) % 4, batch_size=4, seed=0)
    return ClassificationMethod(model=model, sampler=sampler, **options).eval()


def batch_of() -> Batch:
    return Batch(torch.randn(4, 3, 32, 32), torch.arange(4), torch.arange(4))


def test_a_plain_step_is_cross_entropy():
    method, batch = method_of(), batch_of()
    expected = F.cross_entropy(method.model(batch.images).logits, batch.labels)
    torch.testing.assert_close(method.training_step(batch, Progress(0, 1)).loss, expected)
    assert method.epoch_batches(0).shape == (2, 4)


def test_an_introspective_step_trains_the_uncertainty_and_evaluation_is_plain():
    method, batch = method_of(uncertainty_size=8, introspective_tau=2.0), batch_of()
    output = method.model(batch.images)
    classifier = method.model.classifier
    factors = damping(output.logits, output.features, classifier.weight, classifier.bias, output.uncertainty, tau=2.0)
    logits = introspective_logits(output.logits, factors)
    step = method.training_step(batch, Progress(0, 1))
    torch.testing.assert_close(step.loss, F.cross_entropy(logits, batch.labels))
    torch.testing.assert_close(step.logs["damping"], factors.mean())
    assert 0 < step.logs["damping"] < 1
    step.loss.backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in method.model.uncertainty.parameters())
    torch.testing.assert_close(top_classes(output)[:, 0], output.logits.argmax(1))


def test_a_mixed_step_is_cross_entropy_of_shares():
    method, batch = method_of(mixing=Mixing("mixup", num_classes=4)), batch_of()
    torch.manual_seed(1)
    images, targets = Mixing("mixup", num_classes=4)(batch.images, batch.labels)
    expected = -(method.model(images).logits.log_softmax(1) * targets).sum(1).mean()
    torch.manual_seed(1)
    torch.testing.assert_close(method.training_step(batch, Progress(0, 1)).loss, expected)


def test_accuracies():
    logits = torch.tensor([[3.0, 2, 1, 0, -1, -2], [0, 1, 2, 3, 4, 5]])
    predicted = top_classes(ClassifierOutput(logits, logits))
    assert predicted.tolist() == [[0, 1, 2, 3, 4], [5, 4, 3, 2, 1]]
    assert top_k_accuracy(predicted, torch.tensor([0, 0])) == {"top_1": 0.5, "top_5": 0.5}
    assert top_k_accuracy(predicted, torch.tensor([1, 1])) == {"top_1": 0.0, "top_5": 1.0}
    assert top_classes(ClassifierOutput(logits[:, :3], logits)).shape == (2, 3)
