"""Fine-tuning: what stays, what learns how fast, whose average is kept, features that are computed once."""

from __future__ import annotations

import json

import pytest
import torch

from dml.cli.evaluate import parse_evaluate
from dml.cli.train import parse_train
from dml.config import FinetuningConfig
from dml.errors import UserError
from dml.methods.base import backbone_groups
from dml.models import EmbeddingNet, create_model, load_model_checkpoint
from dml.models.create import restrain
from dml.programs import evaluation, supervised
from dml.training import feature_store
from dml.training.cached import seeds_of_views
from entrypoints import SMALL, record

pytestmark = pytest.mark.slow


def network(name: str = "resnet18", *, asked: FinetuningConfig | None = None, **options) -> EmbeddingNet:
    torch.manual_seed(0)
    model = create_model(name, embedding_size=8, pretrained=False, **options)
    restrain(model, FinetuningConfig() if asked is None else asked)
    return model


def images(number: int = 4, side: int = 48) -> torch.Tensor:
    return torch.randn(number, 3, side, side, generator=torch.Generator().manual_seed(1))


def stepped(model: EmbeddingNet) -> set[str]:
    """Names of what a step of training changed, statistics among it."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([*model.backbone_parameters(), *model.new_parameters()], lr=0.1)
    model.train()(images()).embedding.square()[:, 0].sum().backward()
    optimizer.step()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_a_frozen_backbone_keeps_weights_and_statistics():
    model = network(asked=FinetuningConfig(freeze="backbone"))
    assert stepped(model) == {"embedding.weight", "embedding.bias"}
    assert list(model.backbone_parameters()) == []
    assert model.is_row_wise


def test_frozen_blocks_are_the_first_ones():
    model = network(asked=FinetuningConfig(freeze="5"))  # stem, two blocks of layer1, two of layer2
    changed = stepped(model)
    assert not any(
        name.startswith(("backbone.conv1", "backbone.bn1", "backbone.layer1", "backbone.layer2")) for name in changed
    )
    assert {"backbone.layer3.0.conv1.weight", "backbone.layer3.0.bn1.running_mean"} <= changed
    with pytest.raises(UserError, match="--freeze 10: resnet18 has 9 blocks"):
        network(asked=FinetuningConfig(freeze="10"))


def test_rates_fall_with_depth():
    groups = backbone_groups(network(asked=FinetuningConfig(layer_decay=0.5, freeze="2")))
    assert [group.name for group in groups] == [f"block_{number}" for number in range(8, 1, -1)]
    assert [group.lr_scale for group in groups] == [0.5 ** (9 - number) for number in range(8, 1, -1)]
    trained = network(asked=FinetuningConfig(layer_decay=0.5))
    found = [id(parameter) for group in backbone_groups(trained) for parameter in group.parameters]
    assert sorted(found) == sorted(map(id, trained.backbone.parameters()))


@pytest.mark.parametrize("name", ["timm/vit_tiny_patch16_224", "timm/convnext_atto"])
def test_rates_are_those_of_timm(name):
    timm, optim = pytest.importorskip("timm"), pytest.importorskip("timm.optim")
    model = network(name, asked=FinetuningConfig(layer_decay=0.75))
    groups = {id(p): group.lr_scale for group in backbone_groups(model) for p in group.parameters}
    theirs = timm.create_model(name.removeprefix("timm/"), num_classes=8)
    expected = {}
    for group in optim.param_groups_layer_decay(theirs, layer_decay=0.75):
        expected |= {id(parameter): group["lr_scale"] for parameter in group["params"]}
    of_theirs = dict(theirs.named_parameters())
    for key, parameter in model.backbone.network.named_parameters():
        assert groups[id(parameter)] == pytest.approx(expected[id(of_theirs[key])]), key


@pytest.mark.parametrize("name", ["resnet18", "inception_v1", "convnext_tiny", "timm/vit_tiny_patch16_224"])
def test_activations_that_are_computed_again_give_the_same_gradient(name):
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    gradients = []
    for again in (False, True):
        model = network(name, asked=FinetuningConfig(grad_checkpointing=again), bn_freeze=True, image_size=48).train()
        model(images(2)).embedding[:, 0].sum().backward()
        gradients.append({key: p.grad for key, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][key])


def test_blocks_are_left_out_in_training_alone():
    torch.manual_seed(0)
    model = create_model("convnext_tiny", embedding_size=8, pretrained=False, drop_path=0.9)
    batch = images(2)
    assert not torch.equal(model.train()(batch).embedding, model(batch).embedding)
    assert torch.equal(model.eval()(batch).embedding, model(batch).embedding)
    with pytest.raises(UserError, match="--drop-path: resnet18 has no blocks"):
        create_model("resnet18", pretrained=False, drop_path=0.1)


def run(digits, logs, name: str, *words: str) -> list[dict]:
    """Train on small images for two epochs; the lines of metrics.jsonl."""
    arguments = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(logs), *SMALL, "--epochs", "2"]
    supervised.run(parse_train([*arguments, "--metrics", "recall", "--run-name", name, *words]))
    return record(logs / "folder" / name)


def test_cached_features_train_as_images_do(digits, tmp_path):
    frozen = ("--freeze", "backbone", "--augment", "0")
    lines = [
        run(digits, tmp_path, "images", *frozen),
        run(digits, tmp_path, "cached", *frozen, "--cache-features", "1"),
    ]
    losses, recalls = (
        [[line[key] for line in lines_of_run if key in line] for lines_of_run in lines]
        for key in ("train/loss", "eval/recall_at_1")
    )
    assert (len(losses[0]), len(recalls[0])) == (2, 3)  # of own images the untrained network is judged, too
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert recalls[0] == pytest.approx(recalls[1], abs=0.02)
    heads = [
        load_model_checkpoint(tmp_path / "folder" / name / "last.pt").model.embedding.weight
        for name in ("images", "cached")
    ]
    torch.testing.assert_close(*heads, rtol=1e-3, atol=1e-4)


def test_runs_share_the_features_of_a_folder_whatever_they_hold_out(digits, tmp_path, monkeypatch):
    frozen = ("--freeze", "backbone", "--augment", "0", "--cache-features", "1", "--baselines", "0")
    shared = (*frozen, "--feature-cache", str(tmp_path / "features"))
    folds = ("--fold", "1/3"), ("--fold", "2/3")
    alone = [run(digits, tmp_path, f"alone_{number}", *frozen, *fold) for number, fold in enumerate(folds)]
    first = run(digits, tmp_path, "first", *shared, *folds[0])
    files = sorted((tmp_path / "features").glob("*.npy"))
    assert len(files) == 2  # of the training half and of the test split
    monkeypatch.setattr(feature_store, "embed_records", None)
    second = run(digits, tmp_path, "second", *shared, *folds[1])
    for lines, others in zip(alone, (first, second), strict=True):
        for key in ("train/loss", "val/recall_at_1", "eval/recall_at_1"):
            values = [[line[key] for line in of_run if key in line] for of_run in (lines, others)]
            assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_the_average_is_judged_kept_and_continued(digits, tmp_path):
    run(digits, tmp_path, "averaged", "--weight-ema", "0.9", "--freeze", "8")
    folder = tmp_path / "folder" / "averaged"
    saved = torch.load(folder / "last.pt", weights_only=True)
    assert not torch.equal(saved["model"]["embedding.weight"], saved["trained"]["embedding.weight"])
    assert not any(key.startswith("average.") for key in saved["method"])
    supervised.run(parse_train(["--resume-run", str(folder), "--epochs", "3"]))
    assert torch.load(folder / "last.pt", weights_only=True)["epoch"] == 3
    assert "trained" not in torch.load(folder / "best.pt", weights_only=True)
    file = tmp_path / "features.json"
    evaluation.run(parse_evaluate(["--ckpt", str(folder), "--head", "none", "--workers", "0", "--json", str(file)]))
    assert 0 < json.loads(file.read_text())["eval/recall_at_1"] <= 1


def test_views_are_as_many_as_asked_for_and_fixed():
    assert seeds_of_views(1, None) == [None]
    assert seeds_of_views(1, 3) == seeds_of_views(1, 3) != seeds_of_views(2, 3)
    assert len(set(seeds_of_views(1, 3))) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--freeze half", "--freeze takes backbone or a number of blocks"),
        ("--freeze 0", "--freeze takes backbone or a number of blocks"),
        ("--freeze 40", "--freeze 40: resnet18 has 9 blocks"),
        ("--drop-path 0.1", "--drop-path: resnet18 has no blocks"),
        ("--grad-checkpointing --bn-freeze 0", "add --bn-freeze 1"),
        ("--cache-features", "add --freeze backbone"),
        ("--cache-features --freeze backbone --pooling gem", "--pooling gem learns"),
        ("--cache-features --freeze backbone --mixup", "--mixup mixes images"),
        ("--pooling cls", "resnet18 has no class token"),
        ("--layer-decay 0", "--layer-decay must"),
    ],
)
def test_what_does_not_fit_is_said_at_start(words, said, capsys):
    with pytest.raises(SystemExit):
        parse_train(["--model", "resnet18", "--dataset", "cub", *words.split()])
    assert said in capsys.readouterr().err
