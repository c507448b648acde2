"""Starting a training from the weights of a checkpoint: of any entry point here, or published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from dml.data.run_split import RunRecord
from dml.models.architecture import Architecture
from dml.models.backbones import Backbone
from dml.models.convert import architecture_of, infer_architecture, origin_of, published_origin, split_published
from dml.models.reading import CheckpointError, load_checked, named_tensors, read_torch_file, state_dict_of
from dml.models.started_from import StartedFrom


class Network(Protocol):
    """What an ``EmbeddingNet`` and a ``ClassifierNet`` share: a backbone, and heads that are its other children."""

    backbone: Backbone
    architecture: Any
    started_from: StartedFrom | None

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """As of an ``nn.Module``."""


def backbone_title(name: str, stem: str = "imagenet") -> str:
    """What messages call a backbone: networks of one name and two stems are different ones."""
    return name if stem == "imagenet" else f"{name} with the {stem} stem"


@dataclass(frozen=True)
class Start:
    """The network of a checkpoint, to take weights from.

    Attributes:
        source: the file.
        backbone: see ``backbone_title``.
        description: the network, and whose checkpoint it is, in words.
        state: tensors of the backbone, under the names that they have in the file.
        heads: name of a head → its tensors, under our names within it.
        architecture: of an embedding network; None of a classifier.
        classes: names of a classifier's classes; None of an embedding network.
        is_published: whether ``state`` has published names.
        split, settings: see ``StartedFrom``.
    """

    source: Path
    backbone: str
    description: str
    state: dict[str, Tensor]
    heads: dict[str, dict[str, Tensor]]
    architecture: Architecture | None = None
    classes: tuple[str, ...] | None = None
    is_published: bool = False
    split: RunRecord | None = None
    settings: Mapping[str, Any] | None = None

    def require_backbone(self, wanted: str) -> None:
        """CheckpointError unless the backbone is ``wanted``, as ``backbone_title`` has it."""
        if self.backbone != wanted:
            raise CheckpointError(
                f"{self.source} holds {self.backbone}, but {wanted} is to be trained: --model, and in classify.py"
                " --stem, say which"
            )

    def give(self, model: Network) -> None:
        """Fill the backbone of ``model``, and of its heads those that are here in the same size; a classifier only for
        the same classes. ``model.started_from`` then tells what was taken and what was left.

        Raises:
            CheckpointError: another backbone, or tensors that are not those of the backbone; the model is left as it
                was.
        """
        wanted = model.architecture
        self.require_backbone(backbone_title(wanted.backbone, getattr(wanted, "stem", "imagenet")))
        rename = model.backbone.from_published_key if self.is_published else str
        state = model.backbone.fit_state({rename(key): value for key, value in self.state.items()})
        load_checked(model.backbone, state, str(self.source))
        own = {name: child for name, child in model.named_children() if name != "backbone" and child.state_dict()}
        objections = {name: self._objection(name, own.get(name), model) for name in self.heads}
        taken = [name for name, objection in objections.items() if not objection]
        for name in taken:
            own[name].load_state_dict(self.heads[name])
        told = self._report(taken, objections, new=[name for name in own if name not in taken])
        model.started_from = StartedFrom(told, self.split, self.settings)

    def _objection(self, name: str, head: nn.Module | None, model: Network) -> str:
        """Why the head ``name`` is not taken; empty if it is."""
        classes = getattr(model.architecture, "classes", None)
        if head is None or (classes is None) != (self.classes is None):
            return "no such head here"
        if _shapes(head.state_dict()) != _shapes(self.heads[name]):
            return "of another size"
        return "of other classes" if name == "classifier" and classes != self.classes else ""

    def _report(self, taken: list[str], objections: dict[str, str], *, new: list[str]) -> str:
        """Two lines for people."""
        heads = [f"{len(self.heads[name])} of the {name} head" for name in taken]
        left = [f"{name} head ({objection})" for name, objection in objections.items() if objection]
        parts = [
            "taken: " + ", ".join([f"{len(self.state)} tensors of the backbone", *heads]),
            *(["left: " + ", ".join(left)] if left else []),
            *(["starting anew: " + ", ".join(f"{name} head" for name in new)] if new else []),
        ]
        return f"starting from {self.source}: {self.description}\n{'; '.join(parts)}"


def start_from(model: Network, path: Path | str) -> None:
    """Fill ``model`` from a checkpoint as far as it fits, see ``Start.give``.

    Raises:
        CheckpointError: also if the file is missing, unreadable, unsafe, or of no network known here.
    """
    read_start(path).give(model)


def read_start(path: Path | str) -> Start:
    """The network in a checkpoint of ours, of an embedding or a classification network, or in a published one.

    Raises:
        CheckpointError: the file is missing, unreadable, unsafe, or of no network known here.
    """
    path = Path(path)
    content = read_torch_file(path)
    return _ours(content, path) if "format" in content else _published(content, path)


def _ours(content: dict[str, Any], path: Path) -> Start:
    architecture = architecture_of(content, str(path))
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in named_tensors(content.get("model"), str(path)).items():
        part, _, name = key.partition(".")
        parts.setdefault(part, {})[name] = value
    kept = {
        "source": path,
        "state": parts.pop("backbone", {}),
        "heads": parts,
        "split": RunRecord.read(content.get("split")),
        "settings": (content.get("config") or {}).get("data"),
    }
    if isinstance(architecture, Architecture):
        description = f"{architecture.describe()}; {origin_of(content)}"
        return Start(backbone=architecture.backbone, description=description, architecture=architecture, **kept)
    classes = architecture["classes"]
    if not isinstance(classes, list | tuple):
        raise CheckpointError(f"{path}: its class names are no list")
    backbone = backbone_title(str(architecture.get("backbone")), str(architecture.get("stem")))
    description = f"{backbone}, a classifier of {len(classes)} classes; {origin_of(content)}"
    return Start(backbone=backbone, description=description, classes=tuple(classes), **kept)


def _published(content: dict[str, Any], path: Path) -> Start:
    state = state_dict_of(content, str(path))
    try:
        architecture = infer_architecture(state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    backbone, tensors = split_published(state)
    heads: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        head, _, name = key.partition(".")
        heads.setdefault(head, {})[name] = value
    return Start(
        source=path,
        backbone=architecture.backbone,
        description=f"{architecture.describe()}; {published_origin(architecture)}",
        state=backbone,
        heads=heads,
        architecture=architecture,
        is_published=True,
    )


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
