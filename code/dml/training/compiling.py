"""``--compile``: what is compiled, and what torch.compile needs besides torch."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

import torch

from dml.errors import UserError
from dml.methods.base import Method

BACKEND = "inductor"


def require_compiler(device: torch.device) -> None:
    """Refuse ``--compile`` before anything is made, where torch.compile would fail in the first step.

    It translates for the CPU with a C++ compiler, and for GPUs needs one of C.

    Raises:
        UserError: there is none; the message says how to go on.
    """
    if sys.platform == "win32" or os.environ.get("TORCH_INDUCTOR_INSTALL_GXX"):
        return
    language, variable, names = ("C", "CC", ("gcc", "clang"))
    if device.type == "cpu":
        language, variable, names = "C++", "CXX", ("clang++" if sys.platform == "darwin" else "g++",)
    chosen = shlex.split(os.environ.get(variable, ""))[:1]
    if not any(map(shutil.which, chosen or names)):
        raise UserError(
            f"--compile 1 needs a {language} compiler, and there is no {' or '.join(chosen or names)} on this machine:"
            " install one (apt-get install g++, on Debian and Ubuntu), or go on with --compile 0, which computes the"
            " same more slowly"
        )


def compile_networks(method: Method) -> None:
    """Compile every network of ``method`` in place, for images of one number and size.

    Training has no others. What else passes a network, an evaluation above all, goes through it as it was written
    (``dml.models.extract.embed``), lest the compiler make sizes variable to fit those batches, too.
    """
    for network in method.networks():
        network.compile(backend=BACKEND, dynamic=False)
