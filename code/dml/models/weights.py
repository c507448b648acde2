"""ImageNet weights: where they come from and how they get into a backbone."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

import torch
from torch import Tensor

from dml.errors import UserError
from dml.models.arrays import read_weights_file
from dml.models.backbones import PREFIX, Backbone
from dml.models.convert import load_published_backbone
from dml.models.reading import state_dict_of

# Every address of weights, but for BN-Inception's those of torchvision's IMAGENET1K_V1. Each file name ends in the
# first digits of the file's SHA-256, which are checked.
URLS = {
    "bn_inception": "http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth",
    "googlenet": "https://download.pytorch.org/models/googlenet-1378be20.pth",
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "resnet101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
    "mobilenet_v2": "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
    "mobilenet_v3_small": "https://download.pytorch.org/models/mobilenet_v3_small-047dcff4.pth",
    "mobilenet_v3_large": "https://download.pytorch.org/models/mobilenet_v3_large-8738ca79.pth",
    "convnext_tiny": "https://download.pytorch.org/models/convnext_tiny-983f1562.pth",
    "vit_b_16": "https://download.pytorch.org/models/vit_b_16-c867db91.pth",
}


# Files that no single address gives.
BY_HAND = {
    "inception_v1": "inception.pth, in the archive to which https://github.com/tjddus9597/STML-CVPR22 links",
}

# NOTE: this file's name holds no hash, so that what comes from there cannot be checked.
SWAV_URL = "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar"


class WeightsError(UserError, OSError):
    """ImageNet weights that cannot be had."""


def check_weights(path: Path | str | None, *, pretrained: bool) -> None:
    """UserError for a file of ImageNet weights beside a network that starts without."""
    if path is not None and not pretrained:
        raise UserError(
            f"--weights {path} goes with ImageNet weights, which this network starts without: add --pretrained 1, or"
            " leave out --weights"
        )


def load_imagenet_weights(backbone: Backbone, name: str, path: Path | str | None = None) -> list[str]:
    """Fill ``backbone`` with ImageNet weights; what is to be said of a file's.

    Args:
        name: its name in ``BACKBONES``.
        path: a local file in any published layout (see :func:`read_weights_file`), classifier and heads ignored;
            None to download the published one, once, into torch's own cache, or timm's.

    Raises:
        WeightsError: no address known, or the download failed; the message says what to do.
        CheckpointError: a local file that cannot be read or is of another network.
    """
    if path is not None:
        state, source = read_weights_file(Path(path)), str(path)
    elif name.startswith(PREFIX):
        state, source = _from_timm(backbone), name
    else:
        if name not in URLS:
            source = f" ({BY_HAND[name]})" if name in BY_HAND else ""
            raise WeightsError(
                f"{name}: no download of ImageNet weights is known. Pass --weights FILE{source}, or --pretrained 0 to"
                " start from random weights"
            )
        state, source = _download(name, URLS[name]), URLS[name]
    return load_published_backbone(backbone, state, source)


def _from_timm(backbone: Backbone) -> dict[str, Tensor]:
    """The weights that timm has, or fetches, for one of its networks."""
    try:
        return backbone.published_weights()
    except Exception as error:  # of the line, of the disk, of the hub
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{backbone.name}: timm could not have its pretrained weights ({said}). Pass --weights FILE, or"
            " --pretrained 0 to start from random weights"
        ) from error


def load_swav_weights(backbone: Backbone) -> None:
    """Fill a ResNet-50 with the published weights of SwAV (Caron et al., NeurIPS 2020), learned without labels.

    Raises:
        WeightsError: the download failed; the message says what to do.
    """
    state = _download("resnet50 of SwAV", SWAV_URL)
    load_published_backbone(backbone, state_dict_of(state, SWAV_URL), SWAV_URL)


def _download(name: str, url: str) -> dict[str, Tensor]:
    try:
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except Exception as error:  # of the line, of the disk, or whatever torch says of a damaged file
        cached = Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlparse(url).path).name
        reason = str(error) or type(error).__name__
        if cached.is_file():
            what = f"{name}: the pretrained weights in {cached} cannot be read ({reason}). Remove that file"
        else:
            what = (
                f"{name}: pretrained weights could not be had from {url} ({reason}). Fetch that file on another machine"
                f" and place it at {cached}"
            )
        raise WeightsError(f"{what}, or pass --weights FILE, or --pretrained 0 to start from random weights") from error
