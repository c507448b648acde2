"""Steps of every method on two processes are those of one with the same global batch: losses, weights, memories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any
from unittest import mock

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from dml.cli.classify import parse_classify
from dml.cli.train import parse_train
from dml.data import ImageRecords
from dml.devices import fit_to_device
from dml.losses.transfer import TRANSFER_LOSSES
from dml.methods.base import Given, Method
from dml.methods.build import build_method
from dml.models import model_from_config
from dml.models.backbones import BACKBONES
from dml.models.classifiers import classifier_from_config
from dml.models.classifiers.cifar_resnet import CifarResNet
from dml.structures import Batch, Progress
from methods.test_self_taught_method import method_of as self_taught_of
from methods.test_transfer_method import method as transfer_of
from two_processes import in_two_processes, needs_gloo, share_of

# A small network in place of a large one: what is tested is who sees which rows.
SMALL = mock.patch.dict(BACKBONES._entries, {"resnet18": partial(CifarResNet, depth=8, bottleneck=False)})
IMAGES = 6
LABELS = torch.arange(IMAGES) // 2
RECORDS = ImageRecords(tuple(map(str, range(IMAGES))), LABELS.numpy(), ("a", "b", "c"))
EMBEDDING = (
    "--model",
    "resnet18",
    "--pretrained",
    "0",
    "--batch-size",
    str(IMAGES),
    "--bn-freeze",
    "1",
    "--embedding-size",
    "8",
)
EMA = ("--ema-teacher", "--ema-momentum", "0.5", "--ema-tau", "0.2")
MOCO, BYOL, SHIFT = (("--method", name, "--bn-freeze", "1") for name in ("moco", "byol", "meanshift"))


def _supervised(*arguments: str) -> Method:
    config = parse_train([*EMBEDDING, *arguments]).config
    return build_method(Given(config, model_from_config(config.model, introspective=config.introspective), RECORDS))


def _classification(*arguments: str) -> Method:
    settings = ("--dataset", "cifar10", "--model", "cifar_resnet8_basic", "--batch-size", str(IMAGES))
    config = parse_classify([*settings, *arguments]).config
    return build_method(Given(config, classifier_from_config(config, RECORDS.class_names), RECORDS))


CASES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "proxies": (_supervised, ("--loss", "Proxy_Anchor")),
    "centroids": (_supervised, ("--loss", "softtriple", "--bs", str(IMAGES))),
    "weights of a library": (_supervised, ("--loss", "pml/SubCenterArcFaceLoss", "--miner", "pml/BatchHardMiner")),
    "mined pairs": (_supervised, ("--loss", "MS")),
    "mined triplets": (_supervised, ("--loss", "triplet", "--batch_mining", "distance", "--bs", str(IMAGES))),
    "drawn fourth": (_supervised, ("--loss", "quadruplet", "--bs", str(IMAGES))),
    "memory": (_supervised, ("--loss", "ProxyISA", "--enableMemory", "1", "--T", "20", "--start-epoch", "0")),
    "memory of pairs": (_supervised, ("--loss", "MS", "--enableMemory", "1", "--T", "20", "--start-epoch", "0")),
    "self-distillation": (_supervised, ("--loss", "multisimilarity_lsd", "--bs", str(IMAGES))),
    "moving-average teacher": (_supervised, ("--loss", "Proxy_Anchor", *EMA)),
    "every term": (_supervised, ("--loss", "MS_lsd", *EMA, "--introspective", "1", "--mixup", "1")),
    "introspective, mixup": (_supervised, ("--loss", "Proxy_Anchor", "--introspective", "1", "--mixup", "1")),
    "mixup, normalising head": (_supervised, ("--loss", "Proxy_Anchor", "--mixup", "1", "--head", "mlp_bn")),
    **{f"transfer, {name}": (transfer_of, (name,)) for name in TRANSFER_LOSSES},
    "stml": (self_taught_of, ("--bn-freeze", "1", "--IPC", "2")),
    "moco": (self_taught_of, (*MOCO, "--memory-size", "40")),
    "byol": (self_taught_of, BYOL),
    "mean shift": (self_taught_of, (*SHIFT, "--memory-size", "40")),
    "classification": (_classification, ("--introspective", "1")),
    "classification, mixup": (_classification, ("--mix", "mixup")),
    "classification, cutmix": (_classification, ("--mix", "cutmix", "--mix-probability", "1")),
}


def after_two_steps(
    case: str, rank: int | None = None, steps: AbstractContextManager[Any] | None = None
) -> dict[str, Any]:
    """Logs and state after two SGD steps within ``steps``, alone (None) or as process ``rank`` of two."""
    build, arguments = CASES[case]
    torch.manual_seed(0)
    with SMALL:
        method = build(*arguments).train()
    if build in (transfer_of, _classification):  # whose batch normalisation works on the batch otherwise
        method.model.eval()
    fit_to_device(method, torch.device("cpu"))
    whole = rank is None
    step = method if whole else DistributedDataParallel(method, find_unused_parameters=True)
    start = {name: value.clone() for name, value in method.state_dict().items()}
    parameters = [p for group in method.param_groups() for p in group.parameters if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.01)
    logs, views = {}, method.num_views
    with steps or nullcontext():
        torch.manual_seed(1)
        for number in range(2):
            progress = Progress(1, 2, step=number)
            method.start_epoch(progress)
            generator = torch.Generator().manual_seed(number)
            images = torch.randn(views * IMAGES, 3, 16, 16, generator=generator)
            rows = (images, LABELS.repeat(views), torch.arange(IMAGES).repeat(views))
            batch = Batch(*(part if whole else share_of(part, rank, views) for part in rows), num_views=views)
            output = step(batch, progress)
            optimizer.zero_grad()
            output.loss.backward()
            method.after_backward()
            optimizer.step()
            method.after_optimizer_step()
            logs |= {f"{name} {number}": value.item() for name, value in output.logs.items()}
            logs[f"loss {number}"] = output.loss.item()
    return {"logs": logs, "start": start, "state": method.state_dict()}


def _every_case(rank: int) -> dict[str, dict[str, Any]]:
    return {case: after_two_steps(case, rank) for case in CASES}


@pytest.fixture(scope="module")
def of_two() -> list[dict[str, dict[str, Any]]]:
    return in_two_processes(_every_case)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The network is too small for more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@needs_gloo
@pytest.mark.parametrize("case", list(CASES))
def test_two_processes_step_as_one(of_two, case, one_thread):
    alone = after_two_steps(case)
    for process in of_two:
        together = process[case]
        assert together["logs"] == pytest.approx(alone["logs"], rel=3e-4, abs=3e-5)
        assert together["state"].keys() == alone["state"].keys()
        for name, value in alone["state"].items():
            way = (value - alone["start"][name]).double().norm()
            apart = (together["state"][name] - value).double().norm()
            assert apart <= 0.01 * way + 1e-6, name
