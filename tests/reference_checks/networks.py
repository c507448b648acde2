"""00_networks: every published network with deterministic weights, through the conversion of its checkpoint."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch

from dml.models import EmbeddingNet
from dml.models.convert import infer_architecture, load_published

KEYS_FILE = Path(__file__).resolve().parent.parent / "reference" / "00_state_dicts.json"
IMAGE_SHAPE = (2, 3, 96, 96)


def published_shapes() -> dict[str, dict[str, list[int]]]:
    """``system/network`` → published key → shape."""
    return json.loads(KEYS_FILE.read_text())


def _normal(tag: str, name: str, shape: tuple[int, ...] | list[int]) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(f"{tag}:{name}".encode()))
    return random.standard_normal(shape)


def published_state(tag: str, shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """The deterministic weights of METHODS §23 under their published keys, without unused classifiers."""
    state = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=torch.int64)
            continue
        r = _normal(tag, key, shape)
        if key.endswith("running_mean"):
            value = 0.1 * r
        elif key.endswith("running_var"):
            value = np.exp(0.1 * r)
        elif len(shape) >= 2:
            value = r * np.sqrt(2 / np.prod(shape[1:]))
        elif key.endswith("weight"):
            value = 1 + 0.1 * r
        else:
            value = 0.1 * r
        state[key] = torch.from_numpy(np.asarray(value, dtype=np.float32))
    return state


def _outputs(model: EmbeddingNet, system: str, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The network's outputs under the paths that the published model returns them at."""
    stages = model.backbone.forward_stages(images)
    output = model.forward_heads(list(stages.values())[-1])
    if system == "stml":
        return {"out.0": output.background, "out.1": output.embedding}
    if system == "idml":
        return {"out.0": output.embedding, "out.1": output.uncertainty}
    if system != "label_relaxation":
        return {"out": output.embedding}
    maps = {f"out.0.{i}": stage for i, stage in enumerate(stages.values())}
    return maps | {f"out.0.{len(stages)}": output.features, "out.1": output.embedding}


def _network_outputs(tag: str, network: str, shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Vector key → our value, for one published network."""
    system = network.split("/")[0]
    state = published_state(tag, shapes)
    images = torch.from_numpy(_normal(tag, "input", IMAGE_SHAPE).astype(np.float32))
    ours = {}
    with torch.inference_mode():
        model = load_published(state, infer_architecture(state, system))
        for path, value in _outputs(model, system, images).items():
            if value.ndim == 4:
                ours[f"{network}:{path}:mean"] = value.mean(dim=(2, 3)).numpy()
                ours[f"{network}:{path}:shape"] = np.array(value.shape)
            else:
                ours[f"{network}:{path}"] = value.numpy()
    return ours


def _find_tag(vectors, networks: dict[str, dict[str, list[int]]]) -> str:
    """The tag of this set's weights: the one whose small network fits best."""
    network = "proxy_anchor/resnet18"
    key = f"{network}:out"

    def error(tag: str) -> float:
        return float(np.abs(_network_outputs(tag, network, networks[network])[key] - vectors[key]).max())

    return min("AB", key=error)


def check(vectors, compare) -> None:
    """Every key of the file: rtol 1e-4, atol 1e-5 of the tensor's largest value (at least 1).

    The raw outputs of a ResNet-50 with these weights reach 1e4, where single values near zero carry the float32
    rounding of the large ones: the published values are themselves 1e-2 off the float64 result there.
    """
    networks = published_shapes()
    tag = _find_tag(vectors, networks)
    keys = sorted(vectors.files)
    for network in sorted({key.split(":")[0] for key in keys}):
        ours = _network_outputs(tag, network, networks[network])
        for key in (key for key in keys if key.startswith(f"{network}:")):
            scale = max(1.0, float(np.abs(vectors[key]).max()))
            compare(key, ours[key], vectors[key], rtol=1e-4, atol=1e-5 * scale)


CHECKS = {"00_networks": check}
