"""The losses without labels: each against its plain version, and what is particular to it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dml.losses.self_taught.byol import BYOLLoss
from dml.losses.self_taught.context import contextual_similarity
from dml.losses.self_taught.mean_shift import MeanShiftLoss
from dml.losses.self_taught.moco import MoCoLoss
from dml.losses.self_taught.queue import EmbeddingQueue
from dml.losses.self_taught.stml import SelfTaughtLoss
from dml.losses.self_taught.views import paired_views
from losses.plain_stml import similarity_loop, stml_loop

B, VIEWS = 24, 2
IMAGES = torch.arange(B // VIEWS).repeat(VIEWS)


def rows(seed: int, size: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(B, size, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


@pytest.fixture
def heads() -> list[torch.Tensor]:
    """f, g and the teacher's g."""
    return [rows(0, 6), rows(1, 9), rows(2, 9)]


# ---------------------------------------------------------------------- self-taught metric learning


@pytest.mark.parametrize(("normalize", "sigma", "delta", "k"), [(False, 1.0, 1.0, 10), (True, 3.0, 0.9, 5)])
def test_stml_equals_the_loop_over_rows(heads, normalize, sigma, delta, k):
    loss = SelfTaughtLoss(sigma=sigma, delta=delta, num_neighbours=k, normalize_student=normalize)
    ours = loss(*heads, IMAGES).total
    plain = stml_loop(*heads, IMAGES, sigma=sigma, delta=delta, k=k, normalize=normalize)
    torch.testing.assert_close(ours, plain)
    for gradients in zip(*(torch.autograd.grad(value, heads[:2]) for value in (ours, plain)), strict=True):
        torch.testing.assert_close(*gradients)


def test_similarity_equals_sets_of_neighbours(heads):
    teacher = heads[2].detach()
    context = contextual_similarity(teacher, IMAGES, sigma=2.0, num_neighbours=7)
    torch.testing.assert_close(context.similarity, similarity_loop(teacher, IMAGES, 2.0, 7))
    assert ((context.similarity >= 0) & (context.similarity <= 1)).all()
    torch.testing.assert_close(context.similarity, context.similarity.T)


def test_context_sees_a_cluster_that_distances_blur():
    """A chain of near points: its ends are reciprocal neighbours of the middle, though far from each other."""
    chain, far = torch.linspace(0, 0.4, 5), torch.linspace(2.0, 2.4, 5)
    angles = torch.cat([chain, far])
    teacher = torch.stack([angles.cos(), angles.sin()], 1)
    context = contextual_similarity(teacher, torch.arange(10), sigma=1.0, num_neighbours=5)
    assert (context.contextual[:5, :5] > 0.9).all()
    assert not context.contextual[:5, 5:].any()


@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_sigma_as_the_teacher_s_distances_are(heads, spread):
    teacher = F.normalize(heads[2]) * spread + torch.ones(heads[2].shape[1])  # far from the origin, near each other
    unit = F.normalize(teacher)
    between = [(i, j) for i in range(len(unit)) for j in range(len(unit)) if IMAGES[i] != IMAGES[j]]
    mean = torch.stack([(unit[i] - unit[j]).square().sum() for i, j in between]).mean()
    found, expected = (
        contextual_similarity(teacher, IMAGES, sigma=sigma, num_neighbours=7).pairwise for sigma in (0, float(mean))
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    off = ~torch.eye(len(unit), dtype=torch.bool)
    assert 0.2 < found[off].mean() < 0.6, "far and near are told apart, however small the distances"


def test_sigma_of_a_teacher_that_has_collapsed():
    context = contextual_similarity(torch.ones(len(IMAGES), 4), IMAGES, sigma=0, num_neighbours=3)
    assert torch.isfinite(context.similarity).all()


def test_views_of_an_image_are_neighbours_however_far_apart(heads):
    context = contextual_similarity(heads[2], IMAGES, sigma=0.1, num_neighbours=2)
    assert torch.equal(context.neighbours.sort().values, torch.stack([torch.arange(B) % 12, IMAGES + 12], 1))
    assert torch.equal(context.reciprocal, IMAGES[:, None] == IMAGES)
    assert (context.pairwise[:12, 12:].diagonal() < 0.9).all()


def test_stml_gives_no_gradient_to_the_teacher_and_distils_into_f_alone(heads):
    terms = SelfTaughtLoss()(*heads, IMAGES)
    gradients = torch.autograd.grad(terms.distillation, heads, allow_unused=True, retain_graph=True)
    assert gradients[0].abs().sum() > 0
    assert gradients[1:] == (None, None)
    assert torch.autograd.grad(terms.total, heads, allow_unused=True)[2] is None


def test_stml_does_not_depend_on_order_scale_or_origin_of_the_student(heads):
    loss = SelfTaughtLoss()
    value = loss(*heads, IMAGES).total
    order = torch.randperm(B, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(*(h[order] for h in heads), IMAGES[order]).total, value)
    torch.testing.assert_close(loss(3 * heads[0] + 1, heads[1] - 2, 5 * heads[2], IMAGES).total, value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("collapsed", [False, True])
def test_stml_stays_finite(dtype, collapsed):
    heads = [rows(seed, 8, torch.float32).detach() for seed in range(3)]
    if collapsed:
        heads = [head[:1].expand_as(head) for head in heads]
    heads = [head.to(dtype, copy=True).requires_grad_() for head in heads]
    total = SelfTaughtLoss()(*heads, IMAGES).total
    total.backward()
    assert total.isfinite()
    assert all(head.grad.isfinite().all() for head in heads[:2])


def test_stml_works_on_fewer_rows_than_neighbours():
    heads = [torch.randn(4, 3) for _ in range(3)]
    assert SelfTaughtLoss(num_neighbours=10)(*heads, torch.arange(4)).total.isfinite()


def test_stml_refuses_what_does_not_fit(heads):
    with pytest.raises(ValueError, match="--sigma must be positive, or 0, got -1"):
        SelfTaughtLoss(sigma=-1)
    with pytest.raises(ValueError, match="--delta must be positive, got -1"):
        SelfTaughtLoss(delta=-1)
    with pytest.raises(ValueError, match="at least 2 rows of the batch, got 1"):
        SelfTaughtLoss(num_neighbours=1)
    with pytest.raises(ValueError, match="the same number of rows"):
        SelfTaughtLoss()(heads[0], heads[1], heads[2][:5], IMAGES)


# ---------------------------------------------------------------------- self-supervised baselines


def plain_queue(batches: list[torch.Tensor], size: int) -> torch.Tensor:
    return torch.cat(batches)[-size:]


def test_queue_holds_the_newest_rows():
    queue, batches = EmbeddingQueue(size=10, embedding_size=3), [torch.randn(4, 3) for _ in range(7)]
    for number, batch in enumerate(batches, 1):
        queue.enqueue(batch)
        held = plain_queue(batches[:number], 10)
        products = queue.products(batch)
        assert int((products[0] > -torch.inf).sum()) == len(held)
        found = products[products > -torch.inf].reshape(4, -1)
        torch.testing.assert_close(found.sort().values, (batch @ held.T).sort().values)
    with pytest.raises(ValueError, match=r"10 rows cannot hold a batch of 11 .*raise --memory-size"):
        queue.enqueue(torch.zeros(11, 3))


def test_views_are_paired_with_the_next_ones():
    student = torch.arange(6)[:, None].float()  # two images in three views
    _, teacher = paired_views(student, student, 3)
    assert teacher.flatten().tolist() == [2, 3, 4, 5, 0, 1]
    with pytest.raises(ValueError, match="--view must be at least 2, got 1"):
        paired_views(student, student, 1)
    with pytest.raises(ValueError, match="no 4 views"):
        paired_views(student, student, 4)


def test_moco_equals_infonce_row_by_row():
    loss, past = MoCoLoss(embedding_size=5, memory_size=30, temperature=0.1).double(), []
    for step in range(3):
        student, teacher = rows(step, 5), rows(10 + step, 5)
        q, k = F.normalize(student), F.normalize(teacher.detach())
        terms = []
        for i in range(B):
            positive = q[i] @ k[(i + B // 2) % B] / 0.1
            negatives = plain_queue(past, 30) @ q[i] / 0.1 if past else q.new_zeros(0)
            terms.append(torch.logsumexp(torch.cat([positive[None], negatives]), 0) - positive)
        torch.testing.assert_close(loss(student, teacher, num_views=VIEWS), torch.stack(terms).mean())
        past.append(k.roll(B // 2, 0))


def test_byol_is_the_distance_of_unit_vectors():
    loss = BYOLLoss(embedding_size=5, predictor_width=8).double().eval()
    student, teacher = rows(0, 5), rows(1, 5)
    q, z = F.normalize(loss.predictor(student)), F.normalize(teacher)
    expected = (q - z.roll(B // 2, 0)).square().sum(1).mean()
    torch.testing.assert_close(loss(student, teacher, num_views=VIEWS), expected)


def test_mean_shift_averages_over_the_neighbours_in_the_queue():
    loss, past = MeanShiftLoss(embedding_size=5, predictor_width=8, memory_size=60, topk=4).double().eval(), []
    for step in range(3):
        student, teacher = rows(step, 5), rows(10 + step, 5)
        targets = F.normalize(teacher.detach()).roll(B // 2, 0)
        past.append(targets)
        held, q = plain_queue(past, 60), F.normalize(loss.predictor(student))
        distances = [(q[i] - held[(held @ targets[i]).topk(4).indices]).square().sum(1).mean() for i in range(B)]
        torch.testing.assert_close(loss(student, teacher, num_views=VIEWS), torch.stack(distances).mean())


def test_mean_shift_with_one_neighbour_is_byol():
    shift, byol = (
        MeanShiftLoss(embedding_size=5, predictor_width=8, memory_size=60, topk=1),
        BYOLLoss(embedding_size=5, predictor_width=8),
    )
    byol.load_state_dict({k: v for k, v in shift.state_dict().items() if k.startswith("predictor")})
    student, teacher = rows(0, 5, torch.float32), rows(1, 5, torch.float32)
    values = [loss(student, teacher, num_views=VIEWS) for loss in (shift, byol)]
    torch.testing.assert_close(*values)


BASELINES = {
    "moco": lambda: MoCoLoss(embedding_size=5, memory_size=100),
    "byol": lambda: BYOLLoss(embedding_size=5, predictor_width=8),
    "meanshift": lambda: MeanShiftLoss(embedding_size=5, predictor_width=8, memory_size=100, topk=3),
}


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_reach_the_student_alone_and_continue_from_their_state(name):
    torch.manual_seed(0)
    loss, student, teacher = BASELINES[name](), rows(0, 5, torch.float32), rows(1, 5, torch.float32)
    for _ in range(2):
        value = loss(student, teacher, num_views=VIEWS)
    value.backward()
    assert student.grad.abs().sum() > 0
    assert student.grad.isfinite().all()
    assert teacher.grad is None
    other = BASELINES[name]()
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(other(student, teacher, num_views=VIEWS), loss(student, teacher, num_views=VIEWS))


def test_baselines_refuse_bad_options():
    with pytest.raises(ValueError, match="--temperature must be positive"):
        MoCoLoss(embedding_size=5, temperature=0)
    with pytest.raises(ValueError, match=r"--topk must lie in 1\.\.10, the --memory-size, got 11"):
        MeanShiftLoss(embedding_size=5, predictor_width=8, memory_size=10, topk=11)
    with pytest.raises(ValueError, match="--memory-size must be at least 1"):
        EmbeddingQueue(size=0, embedding_size=5)


@pytest.mark.gpu
def test_cpu_and_gpu_agree():
    heads = [rows(seed, 8, torch.float32) for seed in range(3)]
    on_gpu = SelfTaughtLoss()(*(head.cuda() for head in heads), IMAGES.cuda()).total
    torch.testing.assert_close(on_gpu.cpu(), SelfTaughtLoss()(*heads, IMAGES).total, rtol=1e-4, atol=1e-5)
