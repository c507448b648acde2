"""Classification networks: sizes, stems, shortcuts, checkpoints."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torch.nn import functional as F

from dml.models.classifiers import (
    ClassifierArchitecture,
    ClassifierNet,
    cifar_resnet_name,
    classifier_backbone,
    create_classifier,
    load_classifier,
    pyramidnet_name,
)
from dml.models.classifiers.pyramidnet import PyramidBasic, PyramidBottleneck, PyramidNet
from dml.models.convert import CHECKPOINT_FORMAT, load_model_checkpoint
from dml.models.reading import CheckpointError

CLASSES = ("cat", "dog", "frog")


def num_parameters(name: str, num_classes: int, stem: str = "cifar") -> int:
    with torch.device("meta"):
        model = create_classifier(name, classes=tuple(map(str, range(num_classes))), stem=stem)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "num_classes", "stem", "expected"),
    [
        ("pyramidnet200", 100, "cifar", 26_844_952),  # 26.8 million in the CutMix paper
        ("pyramidnet200", 10, "cifar", 26_752_702),
        ("pyramidnet110_alpha84_basic", 10, "cifar", 3_904_446),  # 3.8 million in the PyramidNet paper
        ("cifar_resnet20_basic", 10, "cifar", 272_474),  # 0.27 million in the ResNet paper
        ("cifar_resnet56_basic", 10, "cifar", 855_770),  # 0.85
        ("cifar_resnet164", 10, "cifar", 1_704_154),  # 1.7
        ("resnet18", 10, "cifar", 11_173_962),
        ("resnet50", 1000, "imagenet", 25_557_032),  # torchvision's
    ],
)
def test_published_sizes(name, num_classes, stem, expected):
    assert num_parameters(name, num_classes, stem) == expected


@pytest.mark.parametrize("stride", [1, 2])
def test_the_pyramids_shortcut_is_padded_with_zeros(stride):
    torch.manual_seed(0)
    block = PyramidBottleneck(8, 3, stride=stride).eval()
    images = torch.randn(2, 8, 6, 6)
    branch = block.conv1(block.bn1(images))
    branch = block.conv2(block.bn2(branch).relu())
    branch = block.bn4(block.conv3(block.bn3(branch).relu()))
    shortcut = images if stride == 1 else F.avg_pool2d(images, 2)
    padded = torch.cat([shortcut, torch.zeros(2, 4, *shortcut.shape[2:])], dim=1)
    torch.testing.assert_close(block(images), branch + padded)


def test_a_basic_pyramid_block_has_two_convolutions():
    torch.manual_seed(0)
    block, images = PyramidBasic(8, 10, stride=2).eval(), torch.randn(2, 8, 6, 6)
    branch = block.bn3(block.conv2(block.bn2(block.conv1(block.bn1(images))).relu()))
    padded = torch.cat([F.avg_pool2d(images, 2), torch.zeros(2, 2, 3, 3)], dim=1)
    torch.testing.assert_close(block(images), branch + padded)


def test_the_pyramid_widens_evenly():
    net = PyramidNet(depth=20, alpha=60).eval()
    widths = [block.conv1.out_channels for stage in (net.layer1, net.layer2, net.layer3) for block in stage]
    assert widths == [26, 36, 46, 56, 66, 76]
    maps = net.forward_stages(torch.randn(1, 3, 32, 32))
    assert [tuple(m.shape[1:]) for m in maps.values()] == [(144, 32, 32), (224, 16, 16), (304, 8, 8)]
    assert maps["layer3"].min() >= 0
    with pytest.raises(ValueError, match="9n"):
        PyramidNet(depth=21)
    with pytest.raises(ValueError, match="alpha"):
        PyramidNet(depth=20, alpha=0)


def test_cifar_resnets_end_at_a_quarter_of_the_resolution():
    torch.manual_seed(0)
    for bottleneck, depth, widening in ((True, 11, 4), (False, 8, 1)):
        name = cifar_resnet_name(depth, bottleneck=bottleneck)
        backbone = create_classifier(name, classes=CLASSES, stem="cifar").backbone.eval()
        maps = backbone.forward_stages(torch.randn(1, 3, 32, 32))
        shapes = [tuple(m.shape[1:]) for m in maps.values()]
        assert shapes == [(16 * widening, 32, 32), (32 * widening, 16, 16), (64 * widening, 8, 8)]
        assert backbone.num_features == 64 * widening


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"depth": 200}, "pyramidnet200"),
        ({"depth": 110, "alpha": 270.0}, "pyramidnet110_alpha270"),
        ({"depth": 110, "alpha": 84.5, "bottleneck": False}, "pyramidnet110_alpha84.5_basic"),
    ],
)
def test_pyramids_are_named_by_what_makes_them(options, name):
    assert pyramidnet_name(**options) == name
    assert classifier_backbone(name)["cifar"].keywords == {"alpha": 240.0, "bottleneck": True} | options


def test_networks_that_there_are_not():
    with pytest.raises(ValueError, match=r"9n \+ 2 with bottlenecks, with n of at least 1; got 50"):
        classifier_backbone("cifar_resnet50")
    with pytest.raises(ValueError, match=r"6n \+ 2 without bottlenecks"):
        classifier_backbone("pyramidnet201_basic")
    for name in ("pyramidnet", "pyramidnet99999", "cifar_resnet56_alpha3", "pyramidnet200_alpha0"):
        with pytest.raises(ValueError, match="unknown classification network"):
            classifier_backbone(name)


def test_the_stem_for_small_images_keeps_the_resolution():
    images = torch.randn(1, 3, 32, 32)
    for stem, side in (("cifar", 4), ("imagenet", 1)):
        backbone = create_classifier("resnet18", classes=CLASSES, stem=stem).backbone.eval()
        assert backbone(images).shape == (1, 512, side, side)


def test_outputs():
    torch.manual_seed(0)
    model = create_classifier("resnet18", classes=CLASSES, uncertainty_size=7).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(torch.randn(2, 3, 32, 32))
    assert output.uncertainty.shape == (2, 7)
    assert output.uncertainty.min() >= 0
    assert {output.logits.dtype, output.features.dtype, output.uncertainty.dtype} == {torch.float32}
    torch.testing.assert_close(output.logits, model.classifier(output.features))  # not of half precision
    assert create_classifier("resnet18", classes=CLASSES).uncertainty is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet"}, "unknown classification network 'resnet'"),
        ({"name": "pyramidnet200", "stem": "imagenet"}, "--stem cifar"),
        ({"name": "resnet18", "stem": "cifar", "pretrained": True}, "leave out --pretrained, or add --stem imagenet"),
        (
            {"name": "cifar_resnet20_basic", "stem": "cifar", "pretrained": True},
            "no ImageNet weights of cifar_resnet20",
        ),
        ({"name": "resnet18", "weights": "file.pth"}, "add --pretrained 1, or leave out --weights"),
        ({"name": "resnet18", "uncertainty_size": 0}, "--uncertainty-size must be at least 1"),
    ],
)
def test_what_does_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        create_classifier(options.pop("name"), **options, classes=CLASSES)


def test_a_checkpoint_comes_back(tmp_path):
    model = create_classifier("resnet18", classes=CLASSES, stem="cifar", uncertainty_size=5)
    content = {
        "format": CHECKPOINT_FORMAT,
        "epoch": 3,
        "architecture": asdict(model.architecture),
        "config": {"recipe": "classification"},
        "model": model.state_dict(),
    }
    file = tmp_path / "best.pt"
    torch.save(content, file)
    loaded = load_classifier(file)
    assert loaded.model.architecture == model.architecture
    assert (loaded.epoch, loaded.config) == (3, {"recipe": "classification"})
    torch.testing.assert_close(loaded.model.state_dict(), model.state_dict())
    with pytest.raises(CheckpointError, match=r"code/classify\.py --evaluate"):
        load_model_checkpoint(file)
    for change, message in (
        ({"architecture": {"backbone": "resnet18"}}, r"no checkpoint of code/classify\.py"),
        ({"architecture": asdict(model.architecture) | {"stem": "big"}}, "cannot be rebuilt"),
        ({"architecture": asdict(model.architecture) | {"classes": [[1]] * 3}}, "no list of text"),
        ({"architecture": asdict(model.architecture) | {"uncertainty_size": 10**14}}, "cannot be rebuilt"),
        ({}, "state dict"),
    ):
        torch.save(content | {"model": {}} | change, file)
        with pytest.raises(CheckpointError, match=message):
            load_classifier(file)


def test_architectures_describe_themselves():
    architecture = ClassifierArchitecture(backbone="resnet18", stem="cifar", classes=CLASSES, uncertainty_size=128)
    assert architecture.describe() == "resnet18 (cifar stem), 3 classes, uncertainty 128-d"
    with pytest.raises(ValueError, match="one class"):
        ClassifierNet(ClassifierArchitecture(backbone="resnet18", stem="cifar", classes=()))
