"""The frozen source network of embedding transfer, and how its feature maps match the target's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dml.errors import UserError
from dml.losses.transfer import Representation
from dml.methods.pieces import in_pieces
from dml.models import EmbeddingNet, load_model_checkpoint
from dml.models.backbones.base import Backbone
from dml.models.convert import LoadedModel
from dml.models.features import for_images_of
from dml.models.input_spec import InputSpec, per_channel
from dml.structures import Batch

StagePairs = tuple[tuple[str, str], ...]
"""Names of matched stages, (target's, source's), by depth."""


class SourceNetwork:
    """A network that only looks: always in evaluation mode, without gradients.

    It is no part of the method's modules, so that neither ``train()``, nor the optimiser, nor data-parallel
    wrappers, nor checkpoints touch it; a continued run reads its file again. It follows its images' device and runs
    in the precision around it.

    Args:
        network: is frozen in place.
        images_of: normalisation of the images that it will be given, the target's.
    """

    def __init__(self, network: EmbeddingNet, *, images_of: InputSpec):
        self.network = network.eval().requires_grad_(False)
        self.images_of = images_of

    @torch.no_grad()
    def __call__(self, batch: Batch, stages: tuple[str, ...] = (), *, pieces: int = 1) -> Representation:
        """A batch normalised for the target → what the source makes of it, with maps of ``stages``."""
        if next(self.network.parameters()).device != batch.images.device:
            self.network.to(batch.images.device)
        images = renormalize(batch.images, self.images_of, self.network.input_spec)
        return represent(self.network, images, stages, pieces=pieces)


class CachedSource:
    """The source's embeddings of the training images, computed once; exact where images look the same in each epoch.

    Args:
        embeddings: (N, D) in the order of the data set's indices; held on the batches' device, N · D numbers.
    """

    def __init__(self, embeddings: Tensor):
        self.embeddings = embeddings

    def __call__(self, batch: Batch, stages: tuple[str, ...] = (), *, pieces: int = 1) -> Representation:
        """The embeddings of the batch's images, which no network sees. ValueError if maps are asked for."""
        if stages:
            raise ValueError("a cached source has embeddings, no feature maps")
        self.embeddings = self.embeddings.to(batch.indices.device)
        return Representation(self.embeddings[batch.indices])


def represent(
    network: EmbeddingNet, images: Tensor, stages: tuple[str, ...] = (), *, pieces: int = 1
) -> Representation:
    """What ``network`` makes of (B, 3, H, W) images, with the maps of ``stages`` in their order."""
    output = in_pieces(network, images, pieces, stages)
    return Representation(output.embedding, output.features, output.maps)


def renormalize(images: Tensor, made_for: InputSpec, wanted: InputSpec) -> Tensor:
    """(B, 3, H, W) images normalised by one specification → by another, exact but for rounding.

    Both normalisations are affine per channel, so RGB in 0..1 can be had back; equal ones change nothing.
    """
    if (made_for.mean, made_for.std, made_for.bgr, made_for.scale) == (
        wanted.mean,
        wanted.std,
        wanted.bgr,
        wanted.scale,
    ):
        return images
    mean, std = (per_channel(values, images.dtype, images.device) for values in (made_for.mean, made_for.std))
    rgb = (images * std + mean) / made_for.scale
    return wanted.normalize(rgb.flip(-3) if made_for.bgr else rgb)


def load_source(
    path: Path,
    *,
    l2_norm: bool,
    backbone: str | None = None,
    embedding_size: int | None = None,
    side: int | None = None,
) -> LoadedModel:
    """The source network of a checkpoint, ours or published, and what the checkpoint says of it.

    NOTE: the published code goes on with ImageNet weights if the file is missing; here that is an error.

    Args:
        l2_norm: whether its embedding is brought to unit length, whatever it was trained with.
        backbone, embedding_size: what the checkpoint is expected to hold; None: whatever it says.
        side: of the images that it will be shown, in pixels; None: not known.

    Raises:
        CheckpointError: the file is missing, unreadable, unsafe, or of no network known here.
        UserError: it holds another backbone or size than expected, or a network for larger images.
    """
    loaded = load_model_checkpoint(path)
    network = loaded.architecture
    for flag, expected, found in (
        ("--source-model", backbone, network.backbone),
        ("--source-embedding-size", embedding_size, network.embedding_size),
    ):
        if expected is not None and expected != found:
            raise UserError(f"{flag} {expected}, but {path} holds {network.describe()}")
    if side is not None and side < loaded.model.backbone.smallest_side:
        raise UserError(
            f"crops of {side} x {side} pixels are too small for the source {path} ({network.describe()}): the smallest"
            f" that it takes are of --crop-size {loaded.model.backbone.smallest_side}"
        )
    loaded = for_images_of(loaded, side)
    loaded.model.architecture = replace(loaded.model.architecture, l2_norm=l2_norm)
    return loaded


def match_stages(target: Backbone, source: Backbone, side: int) -> StagePairs:
    """Pairs of stages whose maps agree in height and width on images of ``side`` × ``side`` pixels.

    Of several stages of a size the deepest are paired, then the next ones up: a network with itself gives all its
    stages, as published; ResNets of any depth pair ``layer1`` … ``layer4``.
    NOTE: the published code leaves out the last stage unless the target is ResNet-18 (or has three stages).

    Raises:
        UserError: a network has no maps but its last, or no two maps agree.
    """
    for name, backbone in (("target", target), ("source", source)):
        if len(backbone.stage_channels) < 2:
            raise UserError(
                f"the {name}, {type(backbone).__name__}, tells of no feature maps but its last: choose a loss that"
                " compares embeddings, such as --loss Relaxed_Contra"
            )
    sizes = [_stage_sizes(backbone, side) for backbone in (target, source)]
    by_size = [defaultdict(list) for _ in sizes]
    for names, groups in zip(sizes, by_size, strict=True):
        for name, size in names.items():
            groups[size].append(name)
    pairs = [
        pair
        for size, names in by_size[0].items()
        for pair in zip(reversed(names), reversed(by_size[1].get(size, [])), strict=False)
    ]
    if not pairs:
        raise UserError(f"no feature maps of the two networks agree in size: target {sizes[0]}, source {sizes[1]}")
    depth = list(sizes[0])
    return tuple(sorted(pairs, key=lambda pair: depth.index(pair[0])))


@torch.no_grad()
def _stage_sizes(backbone: Backbone, side: int) -> dict[str, tuple[int, int]]:
    """Stage name → (H, W) of its map."""
    was_training = backbone.training
    parameter = next(backbone.parameters())
    maps = backbone.eval().forward_stages(torch.zeros(1, 3, side, side, device=parameter.device))
    backbone.train(was_training)
    return {name: tuple(feature_map.shape[2:]) for name, feature_map in maps.items()}
