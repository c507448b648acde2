"""Writing a network in each format, and running what was written."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dml.errors import UserError
from dml.export.network import Exported
from dml.export.weights import WEIGHTS, save_weights, weights_runner

OPSET = 18
INSTALL = "pip install '.[export]'"
_EXAMPLES = 2  # images that a format is traced with; not 1, which would be taken for a constant


@dataclass(frozen=True)
class Format:
    """A file that a network is written to.

    Attributes:
        file: its name in the folder.
        write: to a path, with an example (B, 3, S, S) of what the network takes.
        open: makes a function from (B, 3, S, S) to (B, D) of what was written.
        normalised_inside: whether it takes pixels in 0..1, and normalises them itself.
        about: in words.
    """

    file: str
    write: Callable[[Exported, Tensor, Path], None]
    open: Callable[[Path], Callable[[Tensor], Tensor]]
    normalised_inside: bool
    about: str


def _write_onnx(network: Exported, images: Tensor, path: Path) -> None:
    require("onnx", "onnxscript", flag="--onnx")
    with quiet():
        torch.onnx.export(
            network,
            (images,),
            path,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC}},
            input_names=["images"],
            output_names=["embedding"],
            external_data=False,
            verbose=False,
        )


def _open_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    require("onnxruntime", flag="--onnx")
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["embedding"], {"images": images.numpy()})[0])


def _write_torch_export(network: Exported, images: Tensor, path: Path) -> None:
    with quiet():
        program = torch.export.export(network, (images,), dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC}})
        torch.export.save(program, path)


def _open_torch_export(path: Path) -> Callable[[Tensor], Tensor]:
    with quiet():
        return torch.export.load(path).module()


FORMATS = {
    "onnx": Format("model.onnx", _write_onnx, _open_onnx, True, f"ONNX, opset {OPSET}"),
    "torch_export": Format("model.pt2", _write_torch_export, _open_torch_export, True, "torch.export's program"),
    "safetensors": Format(WEIGHTS, save_weights, weights_runner, False, "the weights alone, for this project"),
}
"""By the names of their flags."""


def example(images: list[Tensor]) -> Tensor:
    """What a network is traced with: (2, 3, S, S)."""
    return torch.stack([images[number % len(images)] for number in range(_EXAMPLES)])


def require(*packages: str, flag: str) -> None:
    """UserError unless the packages are installed."""
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UserError(f"{flag} needs {' and '.join(missing)}: `{INSTALL}` installs what the export needs")


@contextmanager
def quiet() -> Iterator[None]:
    """Within it exporters keep what they do to themselves: their errors are told all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
