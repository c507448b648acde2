"""The command line of train_stml.py: published flags, defaults and commands, and errors that say what is wrong."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
from published_flags import FLAGS, STML, assert_arrives
from test_cli import error_of, flat

from dml.cli.stml import parse_stml
from dml.config import OWN_SECTIONS, ConfigWarning, train_config_from_json
from dml.losses.self_taught import SELF_TAUGHT_LOSSES
from test_scripts import command_of

REFERENCE = Path(__file__).parent.parent / "reference"
ENTRIES = {
    "stml": FLAGS["stml/main"],
    "moco": [entry for entry in FLAGS["stml/main_SSL"] if entry["flags"] != ["--topk"]],
    "meanshift": FLAGS["stml/main_SSL"],
}
CASES = [(method, entry) for method, entries in ENTRIES.items() for entry in entries]
NAMES = {"emb_lr": "head_lr", "norm": "l2_norm", "resume": None, "seed": None, "gpu_id": None, "method": None}


def parse(*arguments: str):
    return parse_stml(arguments).config


def commands() -> list[list[str]]:
    """The words of every published command, after the script's name; their one slip mended."""
    text = (REFERENCE / "commands.md").read_text().replace("-- fix_lr", "--fix_lr")
    found = re.findall(r"^python3 code/main.py ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return [shlex.split(command.replace("\\\n", " ")) for command in found]


@pytest.mark.parametrize(("method", "entry"), CASES, ids=lambda v: v if isinstance(v, str) else v["flags"][0])
def test_published_defaults(method, entry):
    config = parse("--method", method)
    name = entry["flags"][0].strip("-").replace("-", "_")
    expected = entry.get("default")
    if name in ("LOG_DIR", "DATA_DIR"):
        assert Path(flat(config)[name.lower()]).name == Path(expected).name
    elif name == "save":  # a departure of the baselines: the best network is kept
        assert (config.run.save, parse("--method", method, "--save", "0").run.save) == (True, False)
    elif name == "fix_lr":
        assert config.optim.scheduler == "cosine"
    elif name.replace("_", "-") in SELF_TAUGHT_LOSSES[method].options:
        assert SELF_TAUGHT_LOSSES[method].default(name.replace("_", "-")) == expected
    elif name == "emb_lr" and expected is None:
        assert config.optim.head_lr == config.optim.lr
    elif (field := NAMES.get(name, name)) is not None:
        assert (flat(config) | dataclasses.asdict(config.self_taught))[field] == expected
    assert config.run.seed == 0
    assert config.self_taught.resume is None


@pytest.mark.parametrize(("method", "entry"), CASES, ids=lambda v: v if isinstance(v, str) else v["flags"][0])
def test_published_flags_arrive_in_both_spellings(method, entry, tmp_path):
    file = tmp_path / "file.pt"
    file.touch()
    table = STML | {"resume": ("self_taught.resume", str(file), str(file))}
    other = "moco" if method == "byol" else "byol"
    table["method"] = ("loss.loss", other, other)
    assert_arrives(parse, entry, table, beside=["--method", method, "--model", "resnet50"])


def test_published_commands_parse():
    assert len(commands()) == 7
    for words in commands():
        config = parse(*words)
        assert config.program == "train_stml.py"
        assert config.self_taught.view == 2
        assert config.loss.options["sigma"] == 3
        assert config.data.IPC is None
    scratch = parse(*commands()[-1])
    assert (scratch.optim.scheduler, scratch.optim.epochs, scratch.model.pretrained) == ("constant", 180, False)
    assert (scratch.self_taught.num_neighbors, scratch.self_taught.momentum) == (2, 0.9)
    assert [parse(*words).model.bn_freeze for words in commands()] == [0, 1, 0, 1, 0, 1, 0]


def test_every_published_command_has_its_script():
    scripts = sorted(Path(__file__).resolve().parents[2].glob("scripts/*/stml_*.sh"))
    configs = [parse_stml(command_of(script)[1:]).config for script in scripts]
    assert all(parse(*words) in configs for words in commands())


def test_the_slip_as_printed_is_explained(capsys):
    assert "a lone -- before 'fix_lr': write --fix_lr" in error_of(capsys, "--", "fix_lr", "true", parse=parse_stml)


def test_the_unwritten_part_of_the_recipe():
    config = parse()
    assert (config.optim.clip_value, config.optim.warm, config.optim.nesterov) == (0, 0, False)
    assert (config.data.crop_scale, config.data.resize, config.data.crop_size) == (0.16, 256, 227)
    assert parse("--model", "resnet50").data.crop_size == 224
    assert (config.model.head_init, config.model.pooling, config.model.l2_norm) == ("orthogonal", "avg_max", False)
    assert config.model.backbone_init == "torch"
    assert config.evaluation.eval_distance == "euclidean"
    for flag in ("--model", "--arch"):
        assert parse(flag, "googlenet").model.model == "inception_v1"


def test_every_spelling_of_the_neighbours_is_the_same_flag():
    assert parse("--IPC", "3", "--num_neighbors", "4").self_taught.num_neighbors == 4
    assert parse("--num-neighbors", "4", "--IPC", "3").self_taught.num_neighbors == 3
    with pytest.warns(ConfigWarning, match="no image brings its neighbours"):
        parse("--IPC", "1")


def test_the_teacher_starts_as_the_checkpoint_does(tmp_path):
    (tmp_path / "file.pt").touch()
    assert parse().self_taught.teacher_init == "random"
    resumed = ("--resume", str(tmp_path / "file.pt"))
    assert parse(*resumed).self_taught.teacher_init == "student"
    for arguments in (("--pretrained", "1"), ("--pretrained", "0", *resumed)):
        with pytest.warns(ConfigWarning, match="--backbone-init has no effect with weights to start from"):
            parse(*arguments, "--backbone-init", "torch")


def test_the_json_round_trip():
    config = parse("--method", "meanshift", "--topk", "7", "--view", "3")
    assert train_config_from_json(config.to_json()) == config


@pytest.mark.parametrize("name", sorted(OWN_SECTIONS["self_taught"].switch.without))
def test_flags_about_classes_are_unknown(capsys, name):
    if name != "IPC":
        assert f"unknown argument --{name}" in error_of(capsys, f"--{name}", "1", parse=parse_stml)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "simclr"], "unknown method 'simclr'"),
        (["--method", "byol", "--sigma", "1"], "--sigma is not used by --method byol, but by stml"),
        (["--method", "moco", "--topk", "3"], "--topk is not used by --method moco, but by meanshift"),
        (["--method", "moco", "--IPC", "3"], "--IPC is not used by --method moco, but by stml"),
        (["--memory-size", "999"], "--memory-size is not used by --method stml, but by moco, meanshift"),
        (["--method", "moco", "--memory-size", "100"], "100 is smaller than a batch of 120 images in 2 views"),
        (["--method", "meanshift", "--topk", "241"], "241 is larger than a batch of 120 images in 2 views"),
        (["--view", "1"], "--view must be at least 2"),
        (["--momentum", "1.5"], "--momentum must lie in 0..1"),
        (["--IPC", "0"], "--IPC must be at least 1, got 0"),
        (["--bg-embedding-size", "0"], "--bg-embedding-size must be at least 1"),
        (["--fix_lr", "--scheduler", "step"], "--fix_lr and --scheduler step contradict"),
        (["--resume", "/nowhere.pt"], "--resume: no such file: /nowhere.pt (--resume-run DIR continues a run)"),
        (["--unlabelled"], "--unlabelled is for --dataset folder, not for cub"),
        (["--swav"], "SwAV's weights are those of resnet50, not of bn_inception"),
        (["--swav", "--model", "resnet50", "--pretrained", "0"], "leave out one of them"),
    ],
)
def test_errors(capsys, arguments, message):
    assert message in error_of(capsys, *arguments, parse=parse_stml)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--resume", "--weights"), "--resume brings all weights: leave out --weights"),
        (("--resume", "--init-from"), "--resume brings all weights: leave out --weights, --init-from"),
        (("--init-from", "--weights"), "--init-from brings weights, and so does --weights"),
        (("--init-from", "--swav"), "--init-from brings weights, and so does --swav"),
    ],
    ids=" ".join,
)
def test_weights_come_from_one_place(capsys, tmp_path, flags, message):
    (tmp_path / "file.pt").touch()
    words = [word for flag in flags for word in ([flag] if flag == "--swav" else [flag, str(tmp_path / "file.pt")])]
    assert message in error_of(capsys, "--model", "resnet50", *words, parse=parse_stml)
