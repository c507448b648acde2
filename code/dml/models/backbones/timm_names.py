"""What timm (Wightman, github.com/huggingface/pytorch-image-models) calls its networks; building one by its name."""

from __future__ import annotations

import difflib
from functools import cache
from types import ModuleType
from typing import Any

from dml.errors import UserError
from dml.registry import UnknownNameError

PREFIX = "timm/"
HUB = "hf-hub:"
NEAREST = 5


def import_timm() -> ModuleType:
    """The package. UserError, which says how to get it, where it is not installed."""
    try:
        import timm  # here: an extra, whose import takes as long as torch's
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise UserError(
            "networks named timm/... need the package timm, which is not installed: pip install timm, or"
            " pip install '.[timm]' in this repository"
        ) from error
    return timm


@cache
def timm_name(name: str) -> str:
    """``timm/NAME`` with the tag of its weights, by which the network's normalisation is known for good.

    Args:
        name: ``timm/`` and a name of timm's registry, with or without a tag; or ``timm/hf-hub:`` and a repository.

    Raises:
        UnknownNameError: timm has no such network; the message lists the nearest names.
        UserError: timm is not installed.
    """
    timm, own = import_timm(), name.removeprefix(PREFIX)
    if own.startswith(HUB):
        return name
    architecture, _, tag = own.partition(".")
    if timm.is_model(architecture):
        tags = [known.partition(".")[2] for known in timm.list_pretrained(architecture + ".*")]
        if tag and tag in tags:
            return name
        if not tag:
            tag = timm.get_pretrained_cfg(architecture).tag if tags else ""
            return f"{PREFIX}{architecture}.{tag}" if tag else name
        raise UnknownNameError(f"timm's {architecture} has no weights {tag!r}; there are {', '.join(tags) or 'none'}")
    close = difflib.get_close_matches(architecture, timm.list_models(), n=NEAREST, cutoff=0.5)
    nearest = f"The nearest: {', '.join(PREFIX + known for known in close)}. " if close else ""
    raise UnknownNameError(
        f'timm {timm.__version__} has no network {own!r}. {nearest}All: python -c "import timm;'
        ' print(timm.list_models())"'
    )


def build_network(name: str, **options: Any) -> Any:
    """timm's network without classifier, initialised at random.

    Args:
        name: see ``timm_name``.
        options: of ``timm.create_model``.

    Raises:
        UserError: timm cannot build it so.
    """
    timm, own = import_timm(), name.removeprefix(PREFIX)
    try:
        return timm.create_model(own, **{"pretrained": False, "num_classes": 0} | options)
    except Exception as error:  # whatever timm, the hub or a network's constructor say
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        asked = "".join(f", {option} {value}" for option, value in options.items())
        raise UserError(f"timm cannot build {own}{asked}: {said}") from error
