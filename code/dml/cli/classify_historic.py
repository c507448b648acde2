"""The flags of CutMix's code, with which the introspective paper's classifiers were trained too.

``--net_type pyramidnet --depth 200 --alpha 240 --beta 1 --cutmix_prob 0.5`` is translated into ``--model`` and the
``--mix`` flags, so that nothing behind this file knows of it.
"""

from __future__ import annotations

import warnings
from typing import Any

from dml.cli.parser import Parser, spellings_of
from dml.conditions import Condition, flag_of, unless
from dml.config import ConfigWarning
from dml.errors import UserError
from dml.models.classifiers import cifar_resnet_name, pyramidnet_name
from dml.ranges import at_least, between, unbounded

NET_TYPES = ("resnet", "pyramidnet")
OF_THE_NETWORK = ("net_type", "depth", "alpha", "no_bottleneck")
OF_THE_MIX = ("beta", "cutmix_prob")
WITHOUT_EFFECT = ("no_verbose", "print_freq")
DEFAULTS = {"net_type": "pyramidnet", "depth": 32, "alpha": 300.0, "beta": 0.0, "cutmix_prob": 0.0}
"""As that code has them; they count once a flag of the same group is typed."""

CIFAR = ("cifar10", "cifar100")
_WITH_BASIC_BLOCKS = Condition(
    lambda settings: settings.get("net_type") != "resnet" or settings["dataset"] in CIFAR,
    "has no effect with --net-type resnet outside CIFAR",
)


def add_cutmix_flags(parser: Parser, title: str) -> None:
    """Other spellings of flags that there are, and the flags that ``settle_cutmix_flags`` replaces."""
    group = parser.topic("cutmix", title)
    for flags, dest, kind in (
        (["-b"], "batch_size", int),
        (["-j"], "workers", int),
        (spellings_of("learning_rate"), "lr", float),
        (["--wd"], "weight_decay", float),
        (["--momentum"], "sgd_momentum", float),
        (["--expname"], "run_name", str),
    ):
        group.add_argument(
            *flags, dest=dest, type=kind, metavar=kind.__name__.upper(), help=f"the same as {flag_of(dest)}"
        )
    group.add_argument(
        *spellings_of("net_type"), choices=NET_TYPES, help="with --depth and --alpha: the same as --model"
    )
    group.add_argument("--depth", type=int, metavar="INT", help="layers of the network of --net_type (32)")
    group.add_argument("--alpha", type=float, metavar="FLOAT", help="how much a pyramidnet widens (300)")
    group.add_argument(
        *spellings_of("no_bottleneck"), action="store_true", help="on CIFAR, a network of blocks of two convolutions"
    )
    group.add_argument("--beta", type=float, metavar="FLOAT", help="--mix-alpha of CutMix; 0: images are not mixed (0)")
    group.add_argument(
        *spellings_of("cutmix_prob"),
        type=float,
        metavar="FLOAT",
        help="--mix-probability of CutMix; 0: images are not mixed (0)",
    )
    group.add_argument(*spellings_of("no_verbose"), action="store_true", help="of no effect: steps are not printed")
    group.add_argument(
        "-p", *spellings_of("print_freq"), type=int, metavar="INT", help="of no effect: steps are not printed"
    )
    parser.declare("depth", within=at_least(1))
    parser.declare("alpha", within=at_least(1), used_if=(unless("net_type", "resnet"),))
    parser.declare("no_bottleneck", used_if=(_WITH_BASIC_BLOCKS,))
    parser.declare("beta", within=at_least(0))
    parser.declare("cutmix_prob", within=between(0, 1))
    parser.declare("print_freq", within=unbounded("it is not read"))


def settle_cutmix_flags(typed: dict[str, Any], *, is_cifar: bool) -> None:
    """Replace the flags of CutMix's code in ``typed`` by those that they stand for.

    Args:
        typed: changed in place.
        is_cifar: whether the images are CIFAR's, on which the same flags mean other networks.

    Raises:
        UserError: a network that is not here, values out of range, or modern flags that say something else.
    """
    for name in WITHOUT_EFFECT:
        typed.pop(name, None)
    if network := _taken(typed, OF_THE_NETWORK):
        _replace(typed, network, {"model": _model(network, is_cifar=is_cifar)})
    if mix := _taken(typed, OF_THE_MIX):
        _replace(typed, mix, _mix(DEFAULTS | mix))
        if len(mix) == 1 and any(mix.values()):
            warnings.warn(
                "without both --beta and --cutmix_prob above 0 no images are mixed, as published", ConfigWarning
            )


def _taken(typed: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: typed.pop(name) for name in names if name in typed}


def _replace(typed: dict[str, Any], historic: dict[str, Any], meant: dict[str, Any]) -> None:
    for name, value in meant.items():
        if typed.setdefault(name, value) != value:
            flag = flag_of(name)
            raise UserError(
                f"{' '.join(map(flag_of, historic))} would be {flag} {value}, but {flag} {typed[name]} is given:"
                " leave out the one or the other"
            )


def _model(network: dict[str, Any], *, is_cifar: bool) -> str:
    """The name of the network, in the registry or of a family."""
    chosen = DEFAULTS | network
    depth, bottleneck = chosen["depth"], "no_bottleneck" not in chosen
    if chosen["net_type"] == "resnet":
        # NOTE: that code's ResNets on CIFAR have no uncertainty; here --introspective gives one to every network.
        return cifar_resnet_name(depth, bottleneck=bottleneck) if is_cifar else f"resnet{depth}"
    if not is_cifar:
        raise UserError("--net_type pyramidnet is there for cifar10 and cifar100: elsewhere give --net_type resnet")
    return pyramidnet_name(depth, chosen["alpha"], bottleneck=bottleneck)


def _mix(chosen: dict[str, Any]) -> dict[str, Any]:
    beta, probability = chosen["beta"], chosen["cutmix_prob"]
    if beta == 0 or probability == 0:
        return {"mix": "none"}
    return {"mix": "cutmix", "mix_alpha": beta, "mix_probability": probability}
