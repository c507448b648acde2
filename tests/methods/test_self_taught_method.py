"""Training without labels: steps, the teacher's moment, neighbour batches, where the first weights come from."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from dml.cli.stml import parse_stml
from dml.config import ConfigWarning
from dml.data import ImageRecords
from dml.losses.self_taught.stml import SelfTaughtLoss
from dml.methods.base import Given
from dml.methods.build import build_method
from dml.methods.self_taught import SelfTaughtMethod, neighbourhoods
from dml.methods.student import create_student, create_teacher
from dml.models import create_model
from dml.models import weights as weights_module
from dml.models.teacher import Teacher
from dml.structures import Batch, Progress
from losses.plain_stml import stml_loop

IMAGES = 12
UNLABELLED = ImageRecords(tuple(map(str, range(IMAGES))), np.zeros(IMAGES, dtype=np.int64), ("image",))
SMALL = ("--model", "resnet18", "--pretrained", "0", "--embedding-size", "6", "--batch-size", "8")


def config_of(*arguments: str):
    own = () if "--method" in arguments else ("--bg_embedding_size", "10")
    return parse_stml([*SMALL, *own, *arguments]).config


def method_of(*arguments: str):
    torch.manual_seed(0)
    config = config_of(*arguments)
    student = create_student(config, continued=False)
    points = torch.arange(IMAGES, dtype=torch.float32)[:, None]
    return build_method(Given(config, student, UNLABELLED, lambda model: points))


def batch(images: int = 8, views: int = 2) -> Batch:
    pixels = torch.randn(views * images, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.full((views * images,), -1)
    return Batch(pixels, labels, torch.arange(images).repeat(views), num_views=views)


@pytest.mark.parametrize(
    ("arguments", "views"),
    [
        ((), 3),
        (("--method", "moco", "--memory-size", "20"), 2),
        (("--method", "byol"), 3),
        (("--method", "meanshift", "--memory-size", "100"), 2),
    ],
    ids=["stml", "moco", "byol", "meanshift"],
)
def test_a_step_trains_the_student_and_no_part_of_the_teacher(arguments, views):
    method = method_of(*arguments, "--view", str(views))
    method.train()
    for _ in range(2):  # MoCo's first batch has no negatives
        output = method(batch(views=views), Progress(0, 1))
    output.loss.backward()
    assert output.loss.isfinite()
    grouped = [parameter for group in method.param_groups() for parameter in group.parameters]
    student = [*method.model.parameters(), *method.criterion.parameters()]
    assert sorted(map(id, grouped)) == sorted(map(id, student))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in grouped)
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    assert method.teacher.training == bool(arguments)  # STML's alone never leaves evaluation mode


def test_a_step_is_the_loss_of_both_heads_and_the_teachers_background_head():
    """In float32 under bfloat16 networks, of three views, with as many neighbours as a neighbourhood has views."""
    method = method_of("--sigma", "3", "--IPC", "3", "--view", "3", "--bn-freeze", "1").train()
    data = batch(views=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        student, teacher = method.model(data.images), method.teacher(data.images)
        output = method.training_step(data, Progress(0, 1))
    embeddings = (tensor.float() for tensor in (student.embedding, student.background, teacher.background))
    expected = stml_loop(*embeddings, data.indices, sigma=3.0, k=9)
    torch.testing.assert_close(output.loss, expected, rtol=1e-5, atol=1e-6)


def test_the_teacher_moves_before_the_student_in_stml_and_after_it_in_the_baselines():
    for arguments, moves_before in ((("--teacher-init", "student"), True), (("--method", "byol"), False)):
        method = method_of(*arguments, "--momentum", "0.9")
        student, teacher = (next(net.embedding.parameters()) for net in (method.model, method.teacher.network))
        with torch.no_grad():
            student += 1
        before = teacher.clone()
        method.after_backward()
        assert torch.equal(teacher, before) != moves_before
        method.after_optimizer_step()
        torch.testing.assert_close(teacher, before + 0.1)


@pytest.mark.parametrize(
    ("method", "kinds"), [("moco", "Linear ReLU Linear"), ("byol", "Linear GlobalBatchNorm1d ReLU Linear")]
)
def test_the_baselines_have_the_published_heads(method, kinds):
    made = method_of("--method", method)
    assert " ".join(type(layer).__name__ for layer in made.model.embedding) == kinds
    assert (made.model.embedding[0].out_features, made.model.embedding[-1].out_features) == (
        {"moco": 512, "byol": 1024}[method],
        6,
    )
    if method == "byol":
        assert made.criterion.predictor[0].out_features == 1024
    assert method_of("--method", method, "--head", "linear").model.embedding.out_features == 6


def test_heads_have_their_own_rate():
    scales = {g.name: g.lr_scale for g in method_of("--lr", "5e-4", "--emb-lr", "1e-4").param_groups()}
    assert scales == {"backbone": 1.0, "heads": pytest.approx(0.2)}
    scales = {g.name: g.lr_scale for g in method_of("--method", "byol", "--lr", "5e-4").param_groups()}
    assert scales == {"backbone": 1.0, "head": 1.0, "predictor": 1.0}


def test_neighbourhoods_equal_brute_force_and_begin_with_oneself():
    points = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points[7] = points[3]
    found = neighbourhoods(points, 5)
    distances = torch.cdist(points, points).fill_diagonal_(-1)
    assert np.array_equal(found, distances.argsort(dim=1, stable=True)[:, :5].numpy())
    assert found[7, 0] == 7
    assert neighbourhoods(points, 1).tolist() == [[i] for i in range(30)]


def test_a_queue_longer_than_an_epoch_is_a_warning_for_moco():
    with pytest.warns(ConfigWarning, match="--memory-size 24 holds a whole epoch of 24 views"):
        method_of("--method", "moco", "--memory-size", "24")


def test_batches_hold_whole_neighbourhoods_of_the_student_s_background():
    method = method_of("--IPC", "3")
    plan = method.epoch_batches(0)
    assert plan.shape == (1, 6)
    assert method.images_per_batch() == 6
    for group in plan.reshape(-1, 3):
        assert np.ptp(group) == 2  # on a line the nearest two stand beside the query
    assert np.array_equal(plan, method.epoch_batches(0))
    assert not np.array_equal(plan, method.epoch_batches(1))
    seen = []
    method.embed_training_set = lambda model: seen.append(model) or torch.randn(IMAGES, 10)
    method.epoch_batches(1)
    method.images_per_batch()  # known without looking
    assert seen == [method.model]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--IPC", "9"), "smaller than --num-neighbors"),
        (("--batch-size", "13"), "fewer than one batch"),
    ],
)
def test_batches_that_cannot_be_made_are_refused_before_the_run(arguments, message):
    with pytest.raises(ValueError, match=message):
        method_of(*arguments)


def test_a_network_without_background_is_refused():
    model = create_model("resnet18", pretrained=False, embedding_size=4)
    with pytest.raises(ValueError, match="background head"):
        SelfTaughtMethod(
            model=model,
            teacher=Teacher(deepcopy(model), momentum=0.9),
            criterion=SelfTaughtLoss(),
            embed_training_set=lambda model: torch.zeros(4, 2),
            num_images=4,
            batch_size=4,
            num_neighbors=2,
            seed=0,
        )


def test_best_checkpoints_leave_the_teacher_out_but_last_ones_hold_everything():
    method = method_of("--method", "moco", "--memory-size", "20")
    rest = [key for key in method.state_dict() if not key.startswith("model.")]
    assert any(key.startswith("criterion.queue") for key in rest)
    assert any(key.startswith("teacher.network") for key in rest)
    assert all(key.startswith(method.training_only) for key in rest)


def test_the_teacher_starts_by_itself_unless_told_otherwise(tmp_path):
    torch.save(create_model("resnet18", pretrained=False).backbone.state_dict(), tmp_path / "resnet18.pth")
    weights = ("--pretrained", "1", "--weights", str(tmp_path / "resnet18.pth"))
    for arguments, same_head, same_backbone in (
        (("--teacher-init", "random"), False, False),
        (("--teacher-init", "random", *weights), False, True),
        (("--teacher-init", "student"), True, True),
    ):
        config = config_of(*arguments)
        student = create_student(config, continued=False)
        teacher = create_teacher(config, student).network
        assert torch.equal(teacher.background.weight, student.background.weight) == same_head
        assert torch.equal(teacher.backbone.conv1.weight, student.backbone.conv1.weight) == same_backbone


def test_a_seed_gives_the_published_initial_weights():
    """Those draw a classifier that nobody uses, then both heads, and a ResNet-18's convolutions once more."""
    torch.manual_seed(0)
    network = resnet18()
    background = torch.nn.Linear(512, 10)
    torch.nn.init.orthogonal_(background.weight)
    embedding = torch.nn.Linear(512, 6)
    torch.nn.init.orthogonal_(embedding.weight)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out")
    student = method_of("--backbone-init", "published").model
    assert torch.equal(student.background.weight, background.weight)
    assert torch.equal(student.embedding.weight, embedding.weight)
    backbone = network.state_dict()
    assert all(torch.equal(value, backbone[key]) for key, value in student.backbone.state_dict().items())


def published(state: dict) -> dict:
    """Our names → those of the published STML files."""
    heads = {"embedding": "embedding_f", "background": "embedding_g"}
    renamed = {}
    for key, value in state.items():
        owner, _, rest = key.partition(".")
        renamed[f"model.{heads.get(owner, '')}{'.' * (owner in heads)}{rest}"] = value
    return {"model_state_dict": renamed}


def test_resume_takes_the_weights_of_a_published_checkpoint(tmp_path):
    source = create_student(config_of(), continued=False)
    torch.save(published(source.state_dict()), tmp_path / "stml.pth")
    config = config_of("--resume", str(tmp_path / "stml.pth"))
    student = create_student(config, continued=False)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), source.parameters(), strict=True))
    assert torch.equal(create_teacher(config, student).network.background.weight, source.background.weight)
    other = config_of("--resume", str(tmp_path / "stml.pth"), "--embedding-size", "7")
    with pytest.raises(ValueError, match=r"holds resnet18, 6-d.*not resnet18, 7-d.*--head"):
        create_student(other, continued=False)


def test_swav_weights_come_from_a_file_or_the_published_address(tmp_path, monkeypatch):
    backbone = create_model("resnet50", pretrained=False).backbone.state_dict()
    state = {f"module.{key}": value for key, value in backbone.items()}
    state |= {"module.projection_head.0.weight": torch.zeros(2, 2), "module.prototypes.weight": torch.zeros(2, 2)}
    torch.save(state, tmp_path / "swav.pth.tar")
    arguments = ("--model", "resnet50", "--pretrained", "1", "--swav")
    monkeypatch.setattr(weights_module, "SWAV_URL", (tmp_path / "swav.pth.tar").as_uri())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for extra in ((), ("--weights", str(tmp_path / "swav.pth.tar"))):
        student = create_student(config_of(*arguments, *extra), continued=False)
        loaded = student.backbone.state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in backbone.items())


def test_the_published_googlenet_is_inception_v1_with_its_epsilon():
    student = create_student(config_of("--model", "googlenet"), continued=False)
    assert (student.architecture.backbone, student.architecture.norm) == ("inception_v1", "n_eps_1e-5")
