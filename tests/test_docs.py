"""What our pages and docstrings print runs: bash takes every command, real parsers what it starts.

Programs are not run but noted by stubs; a command that bash does not find, a flag that a parser does not know and a
value that does not resolve are errors.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

import benchmark
import download_dataset
import download_source_models
import gpu_check
import make_scripts
import verify_dataset
from benchmarks import BENCHMARKS
from dml.cli.classify import classify_parser, parse_classify
from dml.cli.compare import compare_parser, parse_compare
from dml.cli.evaluate import evaluate_parser, parse_evaluate
from dml.cli.export import export_parser, parse_export
from dml.cli.report import parse_report, report_parser
from dml.cli.search import ACTIONS, parse_search, search_parser
from dml.cli.stml import parse_stml, stml_parser
from dml.cli.target import parse_target, target_parser
from dml.cli.train import parse_train, train_parser
from dml.compare.plan import read_plan
from dml.config import SECTIONS, LossConfig
from dml.data.verify import EVERY_DATASET
from dml.metric_names import is_metric, metric_key
from dml.models import create_model
from dml.report.groups import METHOD
from entrypoints import ROOT
from models.test_models_start import classifier, network, saved
from printed_commands import PAGES, Printed, blocks, flags, headings, links, of_docstring, of_page, paths

COMMANDS = [command for page in PAGES for command in of_page(page)]
COMMANDS += [command for program in sorted(ROOT.glob("code/*.py")) for command in of_docstring(program)]
NOTED = ("python", "python3", "torchrun", "srun", "sbatch", "make", "pip", "wandb", "tensorboard")


def slurm_parser() -> argparse.ArgumentParser:
    """The options of srun and sbatch that the pages use."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for option in ("nodes", "ntasks-per-node", "gpus-per-node", "gpus", "cpus-per-task"):
        parser.add_argument(f"--{option}", type=int)
    parser.add_argument("--array", type=re.compile(r"\d+-\d+").fullmatch)
    parser.add_argument("--signal", type=re.compile(r"USR1@\d+").fullmatch)
    parser.add_argument("--time", type=re.compile(r"\d\d:\d\d:\d\d").fullmatch)
    parser.add_argument("--requeue", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def check_report(words: list[str]) -> None:
    command = parse_report(words)
    assert all(is_metric(metric_key(name)) for name in command.metrics)
    settings = {item.name for section in (*SECTIONS.values(), LossConfig) for item in fields(section)}
    assert {name.rpartition(".")[2] for name in command.group_by} <= settings | {METHOD.rpartition(".")[2]}


def workspace_parser() -> argparse.ArgumentParser:
    """Of a program in a folder that is called like a package."""
    spec = importlib.util.spec_from_file_location("workspace_program", ROOT / "scripts" / "wandb" / "workspace.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.create_parser()


def check_benchmark(words: list[str]) -> None:
    for name in benchmark.create_parser().parse_args(words).names:
        BENCHMARKS.canonical(name)


PROGRAMS: dict[str, Callable[[list[str]], object]] = {
    "code/train.py": parse_train,
    "code/train_target.py": parse_target,
    "code/train_stml.py": parse_stml,
    "code/main.py": parse_stml,
    "code/classify.py": parse_classify,
    "code/evaluate.py": parse_evaluate,
    "code/report.py": check_report,
    "code/search.py": parse_search,
    "code/export.py": parse_export,
    "code/compare.py": lambda words: read_plan(ROOT / parse_compare(words).plan),
    "scripts/verify_dataset.py": lambda words: EVERY_DATASET[verify_dataset.create_parser().parse_args(words).name],
    "scripts/download_dataset.py": lambda words: EVERY_DATASET[download_dataset.create_parser().parse_args(words).name],
    "scripts/download_source_models.py": lambda words: download_source_models.create_parser().parse_args(words),
    "scripts/make_scripts.py": lambda words: make_scripts.create_parser().parse_args(words),
    "scripts/benchmark.py": check_benchmark,
    "scripts/wandb/workspace.py": lambda words: workspace_parser().parse_args(words),
    "scripts/gpu_check.py": lambda words: gpu_check.create_parser().parse_args(words),
}


@pytest.fixture(scope="module")
def shell(tmp_path_factory) -> Shell:
    return Shell(tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("stubs"))


class Shell:
    """A repository with the data and runs that the pages speak of, and a bash whose programs are stubs."""

    def __init__(self, folder: Path, stubs: Path):
        self.folder, self.stubs, self.notes = folder, stubs, stubs / "notes"
        for name in ("code", "scripts", "plans", "Makefile", "requirements.txt", "docs"):
            (folder / name).symlink_to(ROOT / name)
        places = ("photos", "new_photos", "labelled_photos", "FOLDER", "LAYOUT", "cub200_2010/images", "results")
        for name in (*places, ".venv/bin"):
            (folder / name).mkdir(parents=True)
        (folder / ".venv" / "bin" / "activate").touch()
        (folder / "mobilenet_v2.pth").touch()
        for name in NOTED:
            stub = stubs / name
            stub.write_text('#!/bin/sh\n{ printf "%s\\0" "${0##*/}" "$@"; echo; } >> "$NOTES"\n')
            stub.chmod(0o755)
        own = ["--dataset", "folder", "--data-dir", str(folder / "photos"), "--model", "resnet18"]
        mobile = create_model("mobilenet_v2", embedding_size=4, pretrained=False)
        for name, net, config in (
            ("cub/RUN", network(), parse_train(["--loss", "Proxy_Anchor"]).config),
            ("cub/TRANSFER", network(), parse_target(["--source-ckpt", "best.pt"]).config),
            ("photos/RUN", network(), parse_stml([*own, "--unlabelled"]).config),
            ("photos/RUN2", network(), parse_train(own).config),
            ("glyphs/RUN", network(), parse_train(["--dataset", "glyphs", "--introspective"]).config),
            ("photos/RUN4", mobile, parse_stml(own[:4]).config),
            ("photos/RUN3", classifier(), parse_classify(own).config),
            ("cifar100/RUN", classifier(), parse_classify(["--dataset", "cifar100"]).config),
        ):
            run = folder / "logs" / name
            run.mkdir(parents=True)
            (run / "config.json").write_text(config.to_json())
            saved(net, run, config=json.loads(config.to_json())).rename(run / "last.pt")
            (run / "best.pt").symlink_to(run / "last.pt")

    def started(self, command: str) -> list[list[str]]:
        """The words of every program that the command starts."""
        self.notes.write_text("")
        path = os.pathsep.join([str(self.stubs), os.environ["PATH"]])
        own = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.folder,
            env=own | {"PATH": path, "NOTES": str(self.notes), "PYTHON": str(self.stubs / "python")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return [line.split("\0")[:-1] for line in self.notes.read_text().splitlines()]

    def check(self, words: list[str]) -> None:
        """Whether the program would take these words."""
        program, *rest = words
        if program in ("python", "python3"):
            assert (self.folder / rest[0]).is_file(), f"there is no {rest[0]}"
            try:
                PROGRAMS[os.path.relpath((self.folder / rest[0]).resolve(), ROOT)](rest[1:])
            except SystemExit as stop:
                assert stop.code == 0, words  # 0: --help
        elif program == "torchrun":
            command = get_args_parser().parse_args(rest)
            self.check(["python", command.training_script, *command.training_script_args])
        elif program == "srun":
            self.check(slurm_parser().parse_args(rest).command)
        elif program == "sbatch":
            script, entry, *arguments = (word.replace("{}", "1") for word in slurm_parser().parse_args(rest).command)
            assert subprocess.run(["bash", "-n", self.folder / script]).returncode == 0
            if entry.endswith(".py"):
                self.check(["python", entry, *arguments])
            elif not entry.endswith(".txt"):  # of commands
                for started in self.started(" ".join([entry, *arguments])):
                    self.check(started)
        elif program == "make":
            assert subprocess.run([shutil.which("make"), "-n", *rest], cwd=ROOT, capture_output=True).returncode == 0
        elif program == "pip":
            assert rest[0] == "install"
            assert rest[1] != "-r" or (self.folder / rest[2]).is_file()
        elif words[:2] == ["wandb", "sweep"]:
            assert (self.folder / rest[-1]).is_file(), f"there is no {rest[-1]}"
        elif program == "tensorboard":
            assert rest == ["--logdir", "logs"]
        else:
            assert words[:2] in (["wandb", "login"], ["wandb", "sync"], ["wandb", "agent"])


def test_there_is_something_to_check():
    assert len(COMMANDS) > 100
    started = {
        page.name: sum(command.place.startswith(str(page.relative_to(ROOT))) for command in COMMANDS) for page in PAGES
    }
    assert started["README.md"] > 40
    assert started["lsd.md"] >= 6


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.place} {command.text[:50]}")
@pytest.mark.filterwarnings("ignore::dml.config.ConfigWarning")
def test_printed_commands(shell, command, monkeypatch):
    monkeypatch.chdir(shell.folder)
    for variant in command.variants():
        started = shell.started(variant)
        assert started or variant.startswith("source "), f"{variant}: starts nothing"
        for words in started:
            shell.check(words)


def test_what_make_demo_says_at_its_end(shell, monkeypatch):
    monkeypatch.chdir(shell.folder)
    done = subprocess.run(
        [shutil.which("make"), "--no-print-directory", "-n", "demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    line = shlex.split(done.stdout.splitlines()[-1])[1]
    (words,) = shell.started(line.removeprefix("Next: "))
    assert words[:2] == ["python", "code/train.py"]
    shell.check(words)


@pytest.mark.parametrize(
    ("text", "losses", "expected"),
    [
        ("python x.py --seed 0|1  # both", (), ["python x.py --seed 0", "python x.py --seed 1"]),
        ("x.py [--a | --b 1] …", (), ["x.py", "x.py --a", "x.py --b 1"]),
        ("x.py [--a [--b]]", (), ["x.py", "x.py --a", "x.py --a --b"]),
        ("x.py --loss …[_lsd --c 1] -d", ("A", "B"), ["A -d", "B -d", "A_lsd --c 1 -d", "B_lsd --c 1 -d"]),
        ("x.py 'a|b' \"c d\"", (), ["x.py 'a|b' \"c d\""]),
    ],
)
def test_shorthands_are_written_out(text, losses, expected):
    found = [" ".join(variant.split()) for variant in Printed("page:1", text, losses).variants()]
    assert found == [e if e.startswith(("x", "p")) else f"x.py --loss {e}" for e in expected]


@pytest.mark.parametrize(
    "mistake",
    [
        "python code/trian.py --dataset glyphs",
        "pyhton code/train.py",
        "python code/train.py --los Proxy_Anchor",
        "python code/train.py --loss Proxy_Ancor",
        "python code/train.py --loss triplet --kd_alpha 50",
        "python code/train_stml.py --model resnet81 --dataset cub",
        "python code/report.py --metrics e_recal@1",
        "python code/report.py --group-by los",
        "python scripts/download_dataset.py bub",
        "scripts/cub/no_such.sh",
        "scripts/cub/lsd_triplet.sh --no-such-flag",
        "python code/train.py --resume-run logs/cub/OTHER",
        "make dmeo",
        "srun --node 2 python code/train.py",
        "sbatch scripts/slurm/trian.sbatch code/train.py",
        "torchrun --standalone --nproc 4 code/train.py",
    ],
)
def test_mistakes_are_found(shell, mistake, monkeypatch, capsys):
    monkeypatch.chdir(shell.folder)
    with pytest.raises((AssertionError, SystemExit, ValueError, KeyError)):
        for words in shell.started(mistake):
            shell.check(words)


@cache
def known_flags() -> set[str]:
    parsers = [train_parser(), target_parser(), stml_parser(), classify_parser(), evaluate_parser(), report_parser()]
    parsers += [export_parser(), compare_parser()]
    parsers += [search_parser(action) for action in ACTIONS]
    parsers += [module.create_parser() for module in (benchmark, download_dataset, download_source_models)]
    parsers += [verify_dataset.create_parser(), workspace_parser(), get_args_parser(), slurm_parser()]
    parsers += gpu_check.create_parser()._subparsers._group_actions[0].choices.values()
    return {option for parser in parsers for option in parser._option_string_actions} | {
        "--shm-size",  # docker's
        *("--my-margin", "--my-weight"),  # of what CONTRIBUTING.md has its readers add
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_files_and_links_exist(page):
    known = known_flags()
    assert not [(place, flag) for place, flag in flags(page) if flag not in known]
    for place, path in paths(page):
        exists = (ROOT / path).exists() or any(ROOT.glob(f"scripts/*/{path}"))
        assert exists, f"{place}: {path}"
    for place, link in links(page):
        target, _, anchor = link.partition("#")
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), f"{place}: {link}"
        assert not anchor or anchor in headings(other), f"{place}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_python(page):
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")
