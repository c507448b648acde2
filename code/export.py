#!/usr/bin/env python3
"""Write a trained network for other programs, with its preprocessing and a model card.

python code/export.py --ckpt logs/photos/RUN --onnx exported
python code/export.py --ckpt logs/photos/RUN --onnx --torch-export --safetensors exported --images photos
python code/export.py --ckpt logs/photos/RUN --safetensors exported --push OWNER/NAME
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from dml.cli.entry import guarded
from dml.cli.export import parse_export


def main() -> None:
    command = parse_export()
    # Here, for neither --help nor a slip of the hand needs what an export does.
    from dml.programs.export import run

    run(command)


if __name__ == "__main__":
    guarded(main)
