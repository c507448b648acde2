"""``--help``: the flags that most people need with the defaults that hold; ``--help TOPIC``: those of a group."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping
from typing import Any

from dml.conditions import as_typed

COMMON = (
    *("loss", "recipe", "dataset", "data_dir", "val_split", "batch_size", "IPC", "workers", "crop_size"),
    *("model", "embedding_size", "pretrained", "init_from", "l2_norm"),
    *("epochs", "optimizer", "lr", "weight_decay", "scheduler", "warm"),
    *("metrics", "select_metric", "seed", "gpu_id", "precision", "log_dir", "run_name", "wandb"),
    *("resume_run", "print_config"),
    # Of other entry points than train.py.
    *("source_ckpt", "num_neighbors", "momentum", "mix", "evaluate"),
    *("ckpt", "eval_distance", "json", "save_embeddings", "gallery", "tsne"),
)
"""Settings that a short help shows, where the entry point has them."""
ALL = "all"
HELP = "show the flags that most people need, or those of a topic, and end"


class Help(argparse.Action):
    """``--help`` and ``--help TOPIC`` of a ``dml.cli.parser.Parser``; what was typed before it chooses the defaults."""

    def __init__(self, option_strings: list[str], dest: str, **options: Any):
        super().__init__(option_strings, dest, nargs="?", metavar="TOPIC", help=HELP, **options)

    def __call__(self, parser: Any, namespace: argparse.Namespace, topic: Any, option_string: Any = None) -> None:
        if topic is not None and topic not in (known := [ALL, *parser.topics]):
            parser.error(f"no help on {topic!r}: the topics are {', '.join(known)}")
        defaults = parser.defaults_with(vars(namespace))
        print(help_on(parser, topic, defaults), end="")
        parser.exit()


def help_on(parser: Any, topic: str | None, defaults: Mapping[str, Any]) -> str:
    """The text of ``--help``, or of ``--help topic``.

    Args:
        parser: a ``dml.cli.parser.Parser``.
        defaults: setting → the default that holds; None: left open.
    """
    is_short = topic is None
    formatter = argparse.HelpFormatter(parser.prog, max_help_position=30)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups)
    formatter.add_text(parser.description)
    shown = parser._action_groups if topic in (None, ALL) else [parser.topics[topic]]
    seen: set[str] = set()
    for group in shown:
        formatter.start_section(group.title)
        for action in group._group_actions:
            if not is_short:
                formatter.add_argument(_with_default(action, defaults))
            elif action.dest in (*COMMON, "help") and action.dest not in seen:  # of a setting the first flag alone
                formatter.add_argument(_with_default(_briefly(action, parser.brief), defaults))
            seen.add(action.dest)
        formatter.end_section()
    formatter.add_text(parser.epilog)
    if is_short:
        formatter.start_section("more flags, by --help TOPIC")
        titles = {ALL: "every flag"} | {name: group.title for name, group in parser.topics.items()}
        formatter.add_arguments([argparse.Action([], name, metavar=name, help=title) for name, title in titles.items()])
        formatter.end_section()
    return formatter.format_help()


def _briefly(action: argparse.Action, brief: Mapping[str, str]) -> argparse.Action:
    """The flag with the first of its spellings alone, and the shorter of two help lines."""
    shown = copy.copy(action)
    shown.option_strings, shown.help = action.option_strings[:1], brief.get(action.dest, action.help)
    return shown


def _with_default(action: argparse.Action, defaults: Mapping[str, Any]) -> argparse.Action:
    """The flag with the default that holds, where its help line names none."""
    value = defaults.get(action.dest)
    if value in (None, "", ()) or action.help is argparse.SUPPRESS or "(default" in action.help:
        return action
    shown = copy.copy(action)
    word = ("no", "yes")[value] if isinstance(value, bool) else as_typed(value)
    shown.help = f"{action.help} (default {word.replace('%', '%%')})"
    return shown
