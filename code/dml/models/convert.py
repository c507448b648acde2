"""Checkpoints, ours and published, back into networks (METHODS §23)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from dml.data.run_split import RunRecord
from dml.models.architecture import Architecture
from dml.models.backbones import Backbone
from dml.models.embedding_net import EmbeddingNet
from dml.models.memory_format import lay_out, recorded_memory_format
from dml.models.reading import (
    CheckpointError,
    is_counter,
    load_checked,
    name_some,
    named_tensors,
    read_torch_file,
    state_dict_of,
)
from dml.models.weight_names import renamed_in_order
from dml.registry import Registry

CHECKPOINT_FORMAT = "dml-checkpoint-1"

# Published name of a head → ours.
_HEADS = {
    "embedding": "embedding",
    "embedding_f": "embedding",
    "embedding_g": "background",
    "uncertainty": "uncertainty",
}
# Of ImageNet, and what SwAV puts above its backbone; unused.
_CLASSIFIERS = (
    *("fc", "last_linear", "aux1", "aux2", "projection_head", "prototypes"),
    *("classifier", "head", "heads", "head_dist"),
)

# What no key shows: each system's conventions, as fields of Architecture.
SYSTEMS: Registry[dict[str, Any]] = Registry(
    "published system",
    {
        "proxy_anchor": {},
        "proxy_isa": {},
        "label_relaxation": {"l2_norm": False, "norm": "n_clamp"},
        "stml": {"l2_norm": False},
        "idml": {"uncertainty_norm": True},
    },
)

# Systems that a head of their own tells apart.
_SYSTEM_HEADS = {"stml": "background.weight", "idml": "uncertainty.weight"}

# Networks whose norm has a larger epsilon than the others of their system.
_LARGE_EPSILON = {("stml", "inception_v1"), ("proxy_anchor", "googlenet"), ("proxy_isa", "googlenet")}

# (whether blocks are bottlenecks, blocks per layer) → backbone.
_RESNETS = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
}


@dataclass(frozen=True)
class LoadedModel:
    """A network read from a checkpoint.

    Attributes:
        model: in evaluation mode, on the CPU.
        architecture: what it was built from.
        origin: whose checkpoint it is, and what was inferred, in words.
        config: the configuration of the run that trained it; None in published files.
        epoch: epochs completed; None in published files.
        metrics: metric → value after that epoch; None in published files.
        class_names: of the classes that it was trained on, by label; None in published files, in those of versions
            that did not keep them, and of networks that were trained without classes.
        split: what is said of the images of that run; None in published files and in those of earlier versions.
    """

    model: EmbeddingNet
    architecture: Architecture
    origin: str
    config: dict[str, Any] | None = None
    epoch: int | None = None
    metrics: dict[str, float] | None = None
    class_names: tuple[str, ...] | None = None
    split: RunRecord | None = None

    @property
    def description(self) -> str:
        """One line for people: what the network is, and where it comes from."""
        return f"{self.model.architecture.describe()}; {self.origin}"


def load_model_checkpoint(path: Path | str, *, system: str | None = None) -> LoadedModel:
    """Read a checkpoint of ours or of a published system.

    A published file holds weights alone, so backbone, sizes and system are inferred from keys and shapes.
    ``resnet50`` of Proxy-Anchor, Proxy-ISA and label relaxation share all keys: they are taken as Proxy-Anchor's
    (embedding of unit length) unless ``system`` says otherwise.

    Args:
        system: a name of ``SYSTEMS``, for published files whose keys fit several; no effect on files of ours.

    Raises:
        CheckpointError: the file is missing, unreadable, unsafe, or of no network known here.
        UnknownNameError: ``system`` is none.
    """
    path = Path(path)
    content = read_torch_file(path)
    if "format" in content:
        return _load_ours(content, str(path))
    state = state_dict_of(content, str(path))
    try:
        architecture = infer_architecture(state, system)
        model = load_published(state, architecture)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return LoadedModel(model, architecture, published_origin(architecture, asked=system is not None))


def published_origin(architecture: Architecture, *, asked: bool = False) -> str:
    """Whose a published checkpoint is taken to be, in words; ``asked``: because that was said."""
    reason = "as asked" if asked else "by its keys and shapes"
    return f"published checkpoint, taken as {architecture.system} {reason}"


def infer_architecture(state: dict[str, Tensor], system: str | None = None) -> Architecture:
    """The architecture that a published state dict belongs to.

    Args:
        state: published name → tensor, with or without the leading ``model.``.
        system: as for ``load_model_checkpoint``.

    Raises:
        CheckpointError: the keys are of no network known here, or there is no embedding head.
    """
    backbone_state, heads = split_published(state)
    backbone = infer_backbone(backbone_state)
    embedding_size = _head_size(heads, "embedding")
    if embedding_size is None:
        raise CheckpointError(
            f"a {backbone} without an embedding head (expected embedding.weight or embedding_f.weight):"
            " these are ImageNet weights, to train from with --weights FILE"
        )
    # Proxy-ISA's BN-Inception keeps its head beside the backbone, not in it, and pools by average alone.
    head_beside = "embedding.weight" in state and any(key.startswith("model.") for key in state)
    system = _infer_system(heads, head_beside=head_beside) if system is None else SYSTEMS.canonical(system)
    if _SYSTEM_HEADS.get(system, "embedding.weight") not in heads:
        raise CheckpointError(f"not a checkpoint of {system}: there is no {_SYSTEM_HEADS[system]}")
    architecture = Architecture(
        backbone=backbone,
        embedding_size=embedding_size,
        pooling="avg" if head_beside else "avg_max",
        background_size=_head_size(heads, "background"),
        uncertainty="uncertainty.weight" in heads,
        system=system,
    )
    conventions = dict(SYSTEMS[system])
    if (system, backbone) in _LARGE_EPSILON:
        conventions["norm"] = "n_eps_1e-5"
    return replace(architecture, **conventions)


def _head_size(heads: dict[str, Tensor], name: str) -> int | None:
    weight = heads.get(f"{name}.weight")
    if weight is None:
        return None
    if weight.ndim != 2 or not len(weight):
        raise CheckpointError(f"{name}.weight has shape {tuple(weight.shape)}, expected (size, features)")
    return len(weight)


def _infer_system(heads: dict[str, Tensor], *, head_beside: bool) -> str:
    for system, head in _SYSTEM_HEADS.items():
        if head in heads:
            return system
    return "proxy_isa" if head_beside else "proxy_anchor"


def infer_backbone(state: dict[str, Tensor]) -> str:
    """The name of the backbone that published ``state`` (without heads and ``model.``) belongs to.

    Raises:
        CheckpointError: none of those known here.
    """
    signs = {
        "conv1_7x7_s2.weight": "bn_inception",
        "features.conv1.7x7_s2.weight": "inception_v1",
        "inception3a.branch1.conv.weight": "googlenet",
    }
    for key, name in signs.items():
        if key in state:
            return name
    parts = [key.split(".") for key in state]
    blocks = tuple(len({p[1] for p in parts if p[0] == f"layer{i}" and len(p) > 2}) for i in (1, 2, 3, 4))
    resnet = _RESNETS.get(("layer1.0.conv3.weight" in state, blocks))
    if resnet is None:
        raise CheckpointError(
            "weights of no network known here. Expected a ResNet-18/34/50/101 (layer1.0.conv1.weight …) or one of"
            f" {', '.join(signs)}; found {name_some(list(state)) or 'no backbone at all'}"
        )
    return resnet


def split_published(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Published tensors → (backbone under its published names, heads under ours), classifiers left out."""
    backbone, heads = {}, {}
    for key, value in state.items():
        name = key.removeprefix("model.")
        owner, _, parameter = name.partition(".")
        if owner in _HEADS:
            heads[f"{_HEADS[owner]}.{parameter}"] = value
        elif owner not in _CLASSIFIERS:
            backbone[name] = value
    return backbone, heads


def load_published_backbone(backbone: Backbone, state: dict[str, Tensor], source: str) -> list[str]:
    """Fill ``backbone`` from published tensors, under its own names or, in the same order, under those of another code;
    embedding heads and classifiers among them are left out.

    Returns:
        what is to be said of that.

    Raises:
        CheckpointError: the tensors are of another network.
    """
    published = {key.removeprefix("model."): value for key, value in state.items()}
    published = {key: value for key, value in published.items() if key.partition(".")[0] not in _HEADS}
    ours = backbone.fit_state({backbone.from_published_key(key): value for key, value in published.items()})
    target, remarks = backbone.state_dict(), []
    left_out = [key for key in ours if key not in target and _is_of_classifier(key)]
    if any(key not in ours and not is_counter(key) for key in target):
        renamed = renamed_in_order(published, target)
        if renamed is not None:
            ours, left_out = backbone.fit_state(renamed[0]), []
            remarks += ["its names are those of another code: tensors taken in order"]
            remarks += [f"its classifier left out: {name_some(renamed[1])}"] if renamed[1] else []
    load_checked(backbone, {key: value for key, value in ours.items() if key not in left_out}, source)
    names = name_some([key.removeprefix("network.") for key in left_out])
    return remarks + ([f"its classifier left out: {names}"] if left_out else [])


def _is_of_classifier(key: str) -> bool:
    return key.removeprefix("network.").partition(".")[0] in _CLASSIFIERS


def load_published(state: dict[str, Tensor], architecture: Architecture) -> EmbeddingNet:
    """A network in evaluation mode, filled from a published state dict.

    Raises:
        CheckpointError: the tensors do not fit ``architecture``.
    """
    model = EmbeddingNet(architecture)
    published, heads = split_published(state)
    rename = model.backbone.from_published_key
    ours = {f"backbone.{rename(key)}": value for key, value in published.items()}
    load_checked(model, ours | heads, f"published {architecture.backbone}")
    return model.eval()


def architecture_of(content: dict[str, Any], source: str) -> Architecture | dict[str, Any]:
    """The architecture that a checkpoint of ours holds; a classifier's as the plain values that it is kept as.

    Raises:
        CheckpointError: a format that this version does not read, or an architecture that there is not.
    """
    if content["format"] != CHECKPOINT_FORMAT:
        raise CheckpointError(f"{source}: format {content['format']!r}, but this version reads {CHECKPOINT_FORMAT!r}")
    values = content.get("architecture")
    if isinstance(values, dict) and "classes" in values:
        return values
    try:
        return Architecture(**values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{source}: its architecture cannot be rebuilt: {error}") from error


def origin_of(content: dict[str, Any]) -> str:
    """Whose a checkpoint of ours is, and how old, in words."""
    epoch = content.get("epoch")
    return "checkpoint of this project" + ("" if epoch is None else f", epoch {epoch}")


def _load_ours(content: dict[str, Any], source: str) -> LoadedModel:
    architecture = architecture_of(content, source)
    if not isinstance(architecture, Architecture):
        raise CheckpointError(f"{source}: a classifier, not an embedding network: code/classify.py --evaluate reads it")
    model = EmbeddingNet(architecture)
    load_checked(model, named_tensors(content.get("model"), source), source)
    lay_out(model, recorded_memory_format(content.get("config")))
    return LoadedModel(
        model=model.eval(),
        architecture=architecture,
        origin=origin_of(content),
        config=content.get("config"),
        epoch=content.get("epoch"),
        metrics=content.get("metrics"),
        class_names=content.get("class_names"),
        split=RunRecord.read(content.get("split")),
    )
