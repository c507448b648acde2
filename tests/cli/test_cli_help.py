"""``--help``: thirty flags with their defaults; ``--help TOPIC``: the rest."""

from __future__ import annotations

import re

import pytest
from test_cli import error_of

from dml.cli.classify import classify_parser, parse_classify
from dml.cli.evaluate import evaluate_parser, parse_evaluate
from dml.cli.help import COMMON, help_on
from dml.cli.report import parse_report
from dml.cli.stml import parse_stml, stml_parser
from dml.cli.target import parse_target, target_parser
from dml.cli.train import parse_train, train_parser
from dml.config import OWN_SECTIONS, SECTIONS, sections_of

PROGRAMS = {
    "train.py": (train_parser, parse_train),
    "train_target.py": (target_parser, parse_target),
    "train_stml.py": (stml_parser, parse_stml),
    "classify.py": (classify_parser, parse_classify),
    "evaluate.py": (evaluate_parser, parse_evaluate),
}


@pytest.fixture
def help_of(capsys, monkeypatch):
    """What ``--help`` prints after these words, on one line."""
    monkeypatch.setenv("COLUMNS", "200")

    def text(*words: str, parse=parse_train) -> str:
        with pytest.raises(SystemExit) as stop:
            parse(words)
        assert stop.value.code == 0
        return " ".join(capsys.readouterr().out.split())

    return text


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"(?<= )--?[A-Za-z][\w-]*(?=[ ,])", text.partition("Defaults are")[0]))


def test_thirty_flags_that_most_people_need(help_of):
    text, parser = help_of("--help"), train_parser()
    shown = {action.dest for action in parser._actions if action.dest in COMMON}
    assert len(shown - {"print_config"}) == 30
    assert len(text) < 6000
    for dest in shown:
        action = next(action for action in parser._actions if action.dest == dest)
        assert f" {action.option_strings[0]} " in text


def test_with_the_defaults_that_hold(help_of):
    text = help_of("--help")
    assert "Here they are those of --loss Proxy_Anchor" in text
    for told in (
        r"--batch-size INT images per step, over all processes \(default 150\)",
        r"--lr FLOAT base learning rate \(default 0.0001\)",
        r"--model MODEL backbone\b.* \(default bn_inception\) --embedding-size",
        r"--pretrained \[BOOL\] start from ImageNet weights \(default yes\)",
        r"--loss NAME such as Proxy_Anchor, [^()]* \(default Proxy_Anchor\) --recipe",
    ):
        assert re.search(told, text), told
    assert "(default None)" not in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--loss", "triplet"), "base learning rate (default 1e-05)"),
        (("--recipe", "lsd"), "base learning rate (default 1e-05)"),
        (("--dataset", "glyphs"), "base learning rate (default 0.0005)"),
        (("--introspective",), "(default resnet50) --embedding-size"),
    ],
)
def test_of_the_loss_and_the_data_named_ahead_of_it(help_of, words, told):
    assert told in help_of(*words, "--help")


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_is_everything(program, help_of):
    make, parse = PROGRAMS[program]
    every = {flag for action in make()._actions if action.help != "==SUPPRESS==" for flag in action.option_strings}
    assert every <= flags_in(help_of("--help", "all", parse=parse))


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_topic_shows_its_flags_and_all_topics_show_all(program, help_of):
    make, parse = PROGRAMS[program]
    parser = make()
    in_topics = set()
    short = help_of("--help", parse=parse)
    for topic, group in parser.topics.items():
        own = {flag for item in group._group_actions if item.help != "==SUPPRESS==" for flag in item.option_strings}
        shown = help_of("--help", topic, parse=parse)
        assert own <= flags_in(shown)
        assert topic in short
        in_topics |= own
    shown = [action for action in parser._actions if action.help != "==SUPPRESS=="]
    rest = {action.dest for action in shown if not in_topics.intersection(action.option_strings)}
    assert rest <= {"help", "print_config", "recipe"}


@pytest.mark.parametrize("program", [name for name in PROGRAMS if name != "evaluate.py"])
def test_every_section_is_a_topic(program):
    topics = PROGRAMS[program][0]().topics
    assert {*SECTIONS, *sections_of(program)} <= {*topics}
    assert not (OWN_SECTIONS.keys() - sections_of(program).keys()) & topics.keys()


def test_an_unknown_topic_lists_them(capsys):
    said = error_of(capsys, "--help", "losses")
    assert said.startswith("train.py: error: no help on 'losses': the topics are all, loss, miner, data, model, optim")


def test_an_unknown_loss_ahead_of_it_is_an_error(capsys):
    assert "unknown loss 'tripet'" in error_of(capsys, "--loss", "tripet", "--help")


def test_a_program_of_few_flags_shows_them_all(help_of):
    text = help_of("--help", parse=parse_report)
    assert "TOPIC" not in text
    assert "--group-by" in text


def test_percent_signs_of_defaults_are_printed():
    assert "(default 50%_done)" in help_on(train_parser(), "run", {"remark": "50%_done"})


def test_what_is_typed_is_no_default(help_of):
    text = help_of("--lr", "0.3", "--dataset", "cars", "--help")
    assert "base learning rate (default 0.0001)" in text
    assert "folder (default cub)" in text
