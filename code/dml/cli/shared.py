"""Flags that trainings share beside the sections of ``dml.config``: ``--resume-run``, ``--arch``, historic ones."""

from __future__ import annotations

import argparse
from typing import Any

from dml.cli.defaults import recipes_of
from dml.cli.parser import Parser, kind_of, spellings_of
from dml.conditions import when
from dml.errors import UserError
from dml.ranges import between

TV_SPLIT_SHARE = 0.8


def add_recipe(group: argparse._ActionsContainer, program: str) -> None:
    """``--recipe``, which holds the defaults fixed while losses differ."""
    names = ", ".join(recipes_of(program))
    group.add_argument("--recipe", metavar="NAME", help=f"whose defaults apply: {names}; unset: as published")


def add_print_config(parser: Parser) -> None:
    """``--print-config``."""
    parser.add_argument(
        *spellings_of("print_config"), action="store_true", help="show every setting with what set it, and end"
    )


def add_continuing(parser: Parser) -> argparse._ArgumentGroup:
    """``--print-config``, ``--resume-run`` and the historic flags of every training; returns the group of these."""
    add_print_config(parser)
    group = parser.topic("historic", "Continuing, and historic flags")
    group.add_argument(*spellings_of("resume_run"), metavar="DIR", help="continue this run, or extend it by --epochs N")
    group.add_argument(
        *spellings_of("accept_changes"),
        help="beside --resume-run: go on although the run's images have changed, keeping its classes and their numbers",
        **kind_of(bool),
    )
    group.add_argument("--log_online", "--log-online", action="store_true", help="the same as --wandb auto")
    group.add_argument("--wandb_key", "--wandb-key", help=argparse.SUPPRESS)
    group.add_argument(*spellings_of("no_train_metrics"), action="store_true", help="the same as --train-metrics 0")
    group.add_argument(
        *spellings_of("evaluate_on_gpu"), action="store_true", help="of no effect: it is where the network is"
    )
    group.add_argument(*spellings_of("evaltypes"), nargs="+", help="of no effect: a network has one embedding")
    group.add_argument(
        *spellings_of("use_tv_split"),
        help="hold out training classes for validation, as --val-split does",
        **kind_of(bool),
    )
    group.add_argument(
        *spellings_of("tv_split_perc"),
        type=float,
        metavar="FLOAT",
        help="share that --use_tv_split leaves for training (default 0.8): 1 − --val-split",
    )
    parser.declare("log_online", used_if=(when("wandb", "auto"),))
    parser.declare("tv_split_perc", within=between(0, 1, without="ends"))
    return group


class _TakesTheModelsPlace(argparse.Action):
    """Of ``--model`` and ``--arch`` the last counts, as of a repeated flag."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        vars(namespace).pop("model", None)
        setattr(namespace, self.dest, values)


def add_arch(group: argparse._ArgumentGroup) -> None:
    """``--arch``, which names a backbone and what is to be done with it."""
    group.add_argument(
        "--arch",
        metavar="NAME",
        action=_TakesTheModelsPlace,
        help="--model with endings: _frozen, _normalize, _double, _he stand for --bn-freeze 1 --bn-affine 1,"
        " --l2-norm 1, --pooling avg_max, --head-init kaiming",
    )


def settle_historic(typed: dict[str, Any]) -> None:
    """Replace the historic flags by what they stand for. UserError for a key on the command line."""
    if "wandb_key" in typed:
        raise UserError("--wandb_key is refused, since command lines are logged: set WANDB_API_KEY instead")
    if typed.pop("log_online", False):
        typed.setdefault("wandb", "auto")
    if typed.pop("no_train_metrics", False):
        typed["train_metrics"] = False
    if typed.get("scheduler") == "none":
        typed["scheduler"] = "constant"
    for without_effect in ("evaluate_on_gpu", "evaltypes"):
        typed.pop(without_effect, None)
    _settle_split(typed)


def _settle_split(typed: dict[str, Any]) -> None:
    """Replace ``--use_tv_split`` and ``--tv_split_perc`` by ``--val-split``. UserError if they do not fit."""
    used, share = typed.pop("use_tv_split", False), typed.pop("tv_split_perc", None)
    if not used:
        if share is not None:
            raise UserError("--tv_split_perc is used with --use_tv_split only")
        return
    if "val_split" in typed or "fold" in typed:
        raise UserError("--use_tv_split, --val-split and --fold exclude each other")
    share = TV_SPLIT_SHARE if share is None else share
    typed["val_split"] = round(1 - share, 9)  # 0.2, not 0.19999999999999996
