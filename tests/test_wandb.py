"""Weights & Biases as its users set it up: what the environment says, logins, servers, and steps that go on."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dml.cli.train import parse_train
from dml.tracking import Tracker
from dml.wandb_backend import INIT_TIMEOUT, open_wandb
from dml.wandb_settings import choose_mode, has_credentials, run_identity, server, setting
from entrypoints import SMALL, run

ROOT = Path(__file__).resolve().parent.parent
KEY = "x" * 40
OTHERWISE = {"project": "p", "group": "g", "name": "n", "job_type": "j"}
NOTHING_TYPED = dict.fromkeys(OTHERWISE)


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    """Of a user who has set up nothing; the working directory, too."""
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    return home


def write_settings(folder: Path, **settings: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings").write_text("[default]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))


# What is set up


def test_the_environment_goes_before_the_files_and_the_nearer_file_before_the_other(home, monkeypatch):
    assert setting("project") is None
    write_settings(home / ".config" / "wandb", project="of home", entity="of home", mode="offline%")
    write_settings(home / "wandb", project="of here")
    assert (setting("project"), setting("entity"), setting("mode")) == ("of here", "of home", "offline%")
    monkeypatch.setenv("WANDB_PROJECT", "of the environment")
    monkeypatch.setenv("WANDB_NAME", "called so")
    assert (setting("project"), setting("run_name")) == ("of the environment", "called so")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(home / "nowhere"))
    assert setting("entity") is None
    (home / "wandb" / "settings").write_bytes(b"\xff no settings")
    assert setting("run_id") is None


@pytest.mark.parametrize("file", [".netrc", "_netrc", "elsewhere"])
@pytest.mark.parametrize(
    ("address", "host"), [(None, "api.wandb.ai"), ("http://wandb.mine.test:8080/", "wandb.mine.test:8080")]
)
def test_a_login_is_that_of_the_server(home, monkeypatch, file, address, host):
    if file == "elsewhere":
        monkeypatch.setenv("NETRC", str(home / file))
    (home / file).write_text("machine other.test login user password secret\ndefault login me password secret\n")
    if address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
    assert server() == (address or "https://api.wandb.ai").rstrip("/")
    assert not has_credentials()
    (home / file).write_text(f"machine {host} login user password {KEY}\n")
    assert has_credentials()
    monkeypatch.setenv("WANDB_BASE_URL", "https://third.test")
    assert not has_credentials()


def test_other_logins(home, monkeypatch):
    (home / ".netrc").write_text("no netrc")
    write_settings(home / ".config" / "wandb", base_url="http://mine.test")
    assert (server(), has_credentials()) == ("http://mine.test", False)
    write_settings(home / ".config" / "wandb", api_key=KEY)
    assert has_credentials()
    write_settings(home / ".config" / "wandb")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert has_credentials()


@pytest.mark.parametrize(
    ("flag", "environment", "mode"),
    [
        ("auto", {}, "disabled"),
        ("auto", {"WANDB_API_KEY": KEY}, "online"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "offline"}, "offline"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "dryrun"}, "offline"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "disabled"}, "disabled"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_DISABLED": "true"}, "disabled"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_DISABLED": "false"}, "online"),
        ("auto", {"WANDB_MODE": "offline"}, "offline"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "online"}, "online"),
        ("offline", {"WANDB_API_KEY": KEY, "WANDB_MODE": "disabled"}, "offline"),
        ("online", {"WANDB_API_KEY": KEY, "WANDB_DISABLED": "true"}, "online"),
        ("disabled", {"WANDB_API_KEY": KEY, "WANDB_MODE": "online"}, "disabled"),
    ],
)
def test_the_environment_is_a_choice_and_a_typed_flag_wins(home, monkeypatch, flag, environment, mode):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert choose_mode(flag) == mode


def test_a_choice_of_the_settings_file_counts_too(home, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    write_settings(home / "wandb", mode="offline")  # as `wandb offline` writes it
    assert choose_mode("auto") == "offline"


@pytest.mark.parametrize(
    ("flag", "environment", "said"),
    [
        ("online", {}, "--wandb online without credentials for https://api.wandb.ai: recording offline"),
        ("auto", {"WANDB_MODE": "online"}, "WANDB_MODE=online without credentials"),
        ("auto", {"WANDB_MODE": "sometimes"}, "WANDB_MODE=sometimes is none of online, run"),
    ],
)
def test_what_cannot_be_done_is_said(home, monkeypatch, flag, environment, said):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.warns(UserWarning, match=said):
        assert choose_mode(flag) == ("disabled" if "sometimes" in said else "offline")


# Which run of W&B it is


def test_flags_that_were_not_typed_hide_nothing():
    config = parse_train([]).config.run
    assert (config.project, config.group, config.run_name, config.wandb) == (None, None, None, "auto")


def test_typed_then_environment_then_default_and_a_continued_run_keeps_them(home, monkeypatch, tmp_path):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (first, second, third):
        folder.mkdir()
    plain = run_identity(first, typed=NOTHING_TYPED, otherwise=OTHERWISE)
    assert len(plain.pop("id")) == 8
    assert plain == {"entity": None, **OTHERWISE}
    variables = {"PROJECT": "mine", "RUN_GROUP": "ours", "NAME": "so", "RUN_ID": "abc", "ENTITY": "team"}
    variables["JOB_TYPE"] = "work"
    for name, value in variables.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    of_environment = {"id": "abc", "entity": "team", "project": "mine", "group": "ours", "name": "so"}
    of_environment["job_type"] = "work"
    assert run_identity(second, typed=NOTHING_TYPED, otherwise=OTHERWISE) == of_environment
    typed = {"project": "typed", "group": None, "name": "typed"}
    expected = of_environment | {"project": "typed", "name": "typed"}
    assert run_identity(third, typed=typed, otherwise=OTHERWISE) == expected
    assert run_identity(first, typed=typed, otherwise=OTHERWISE).items() >= plain.items()


def test_a_run_of_an_earlier_version_keeps_its_id(home, tmp_path):
    (tmp_path / "wandb_id.txt").write_text("0123abcd\n")
    assert run_identity(tmp_path, typed=NOTHING_TYPED, otherwise=OTHERWISE)["id"] == "0123abcd"


# The run itself


class Wandb:
    """In place of the package: it counts steps as W&B does, which drops what is behind the latest one.

    Attributes:
        inits: the arguments of each run.
        rows: (step, names) of what each run keeps.
        defined: (name, x-axis, summary) of each metric.
        server: the step at which a run that is continued online begins.
        fault: what going online raises.
    """

    Settings = SimpleNamespace
    Html = Image = staticmethod(str)

    def __init__(self):
        self.inits, self.rows, self.modes, self.defined = [], [], [], []
        self.server, self.fault = 0, None

    def init(self, **arguments):
        self.inits.append(arguments)
        self.modes.append(os.environ["WANDB_MODE"])
        if self.fault is not None and arguments["mode"] == "online":
            raise self.fault
        self.rows.append({})
        step = self.server if arguments["mode"] == "online" else 0

        def log(values, *, step, commit, rows=self.rows[-1], first=step):
            committed = max((step for step, (_, done) in rows.items() if done), default=first - 1)
            if step > committed:
                names, _ = rows.get(step, ([], False))
                rows[step] = ([*names, *values], commit)

        def define_metric(name, **arguments):
            self.defined.append((name, arguments.get("step_metric"), arguments.get("summary")))

        config = SimpleNamespace(update=lambda *_, **__: None)
        return SimpleNamespace(config=config, log=log, define_metric=define_metric, finish=lambda **_: None)

    def teardown(self):
        self.inits.append("teardown")


@pytest.fixture
def wandb(home, monkeypatch) -> Wandb:
    fake = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def opened(folder: Path, mode: str = "auto"):
    tags = ("cub", "t" * 100)
    return open_wandb(mode, folder=folder, typed=NOTHING_TYPED, otherwise=OTHERWISE, config={"a": 1}, tags=tags)


@pytest.mark.parametrize("mode", ["auto", "disabled"])
def test_off_leaves_nothing(mode, tmp_path, wandb):
    folder = tmp_path / "run"
    folder.mkdir()
    assert opened(folder, mode) is None
    assert (list(folder.iterdir()), wandb.inits) == ([], [])


def test_the_folder_the_server_and_the_mode(tmp_path, wandb, monkeypatch):
    opened(tmp_path, "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "there"))
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "3")
    monkeypatch.setenv("WANDB_MODE", "online")
    opened(tmp_path, "offline")
    assert [init["dir"] for init in wandb.inits] == [str(tmp_path), None]
    assert [getattr(init["settings"], "init_timeout", None) for init in wandb.inits] == [INIT_TIMEOUT, None]
    assert wandb.modes == ["offline", "offline"]
    assert os.environ["WANDB_MODE"] == "online", "the environment was left changed"
    assert not any("notes" in init for init in wandb.inits), "W&B reads these"


def test_a_new_run_has_tags_and_a_continued_one_keeps_what_it_was_given(tmp_path, wandb, monkeypatch):
    opened(tmp_path, "offline")
    opened(tmp_path, "offline")
    assert [init.get("tags") for init in wandb.inits] == [["cub", "t" * 64], None]
    assert [init["job_type"] for init in wandb.inits] == ["j", "j"]
    monkeypatch.setenv("WANDB_TAGS", "mine")
    (tmp_path / "other").mkdir()
    opened(tmp_path / "other", "offline")
    assert "tags" not in wandb.inits[-1], "W&B reads these"


def test_summaries_hold_the_best_value_and_the_last(tmp_path, wandb):
    tracker = Tracker(tmp_path, opened(tmp_path, "offline"))
    assert wandb.defined == [("epoch", None, None), ("*", "epoch", None)]
    for epoch in (1, 2):
        tracker.log(epoch, "train", {"loss": 0.5, "seconds": 1.0})
        tracker.log(epoch, "val", {"recall_at_1": 0.5, "dists_at_intra": 0.1})
    assert wandb.defined[2:] == [
        ("train/loss", "epoch", "min,last"),
        ("val/recall_at_1", "epoch", "max,last"),
        ("val/dists_at_intra", "epoch", "min,last"),
    ]


def test_a_server_that_cannot_be_reached_means_offline_not_nothing(tmp_path, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://mine.test")
    wandb.fault = RuntimeError("context deadline exceeded\nand much more")
    said = r"at http://mine\.test \(context deadline exceeded\): recording offline; `wandb sync"
    with pytest.warns(UserWarning, match=said):
        backend = opened(tmp_path)
    assert [init if init == "teardown" else init["mode"] for init in wandb.inits] == ["online", "teardown", "offline"]
    assert wandb.inits[0]["id"] == wandb.inits[2]["id"]
    Tracker(tmp_path, backend).log(1, "train", {"loss": 0.5})
    assert list(wandb.rows[0]) == [1]


def test_what_cannot_start_at_all_is_one_warning(tmp_path, wandb, monkeypatch):
    monkeypatch.setattr(wandb, "init", lambda **_: 1 / 0)
    with pytest.warns(UserWarning, match="W&B could not start .division by zero.; this run goes on without it"):
        assert opened(tmp_path, "offline") is None


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_continued_run_goes_on_at_its_step(tmp_path, wandb, monkeypatch, mode):
    """Stopped after a line that its checkpoint does not know: the line is computed again and is no second one."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    (tmp_path / "a.png").touch()
    tracker = Tracker(tmp_path, opened(tmp_path, mode))
    tracker.log_pictures({"first": tmp_path / "a.png"})
    tracker.log(1, "train", {"loss": 0.5})
    size = tracker.size()
    tracker.log(2, "train", {"loss": 0.5})
    tracker.close()
    wandb.server = max(wandb.rows[0]) + 1
    tracker = Tracker(tmp_path, opened(tmp_path, mode))
    tracker.rewind(size)
    for epoch in (2, 3):
        tracker.log(epoch, "train", {"loss": 0.5})
    for name in ("second", "third"):
        tracker.log_pictures({name: tmp_path / "a.png"})
    tracker.log(4, "train", {"loss": 0.5})
    line = (["epoch", "train/loss"], True)
    before, after = wandb.rows
    assert before == {0: (["pictures/first"], False), 1: line, 3: line}
    again = {3: line} if mode == "offline" else {}
    assert after == again | {5: line, 6: (["pictures/second", "pictures/third"], False), 7: line}
    merged = before | after
    assert list(merged) == sorted(merged) == [0, 1, 3, 5, 6, 7]
    assert len({init["id"] for init in wandb.inits}) == 1


# The package itself, as a user starts it

PROGRAM = """
import sys
from pathlib import Path
from dml.tracking import Tracker
from dml.wandb_backend import open_wandb
words = {"project": "p", "group": "g", "name": "n", "job_type": "j"}
folder = Path(sys.argv[1])
tracker = Tracker(folder, open_wandb("auto", folder=folder, typed={}, otherwise=words, config={}))
tracker.log(1, "train", {"loss": 0.5})
tracker.close()
"""


def start(folder: Path, home: Path, **variables: str) -> str:
    """What a program that records one line says on stderr; credentials for a server that is not there."""
    folder.mkdir()
    there = {"HOME": str(home), "WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder],
        env=kept | there | {"PYTHONPATH": str(ROOT / "code")} | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_without_a_network_what_was_asked_for_is_recorded(home, tmp_path):
    offline, nothing, fallen_back = (tmp_path / name for name in ("offline", "nothing", "fallen_back"))
    assert "could not" not in start(offline, home, WANDB_MODE="offline", WANDB_PROJECT="mine")
    assert len(list(offline.glob("wandb/offline-run-*/*.wandb"))) == 1
    assert json.loads((offline / "wandb.json").read_text())["project"] == "mine"
    start(nothing, home, WANDB_DISABLED="true")
    assert [path.name for path in nothing.iterdir()] == ["metrics.jsonl"]
    said = start(fallen_back, home, WANDB_INIT_TIMEOUT="1")
    assert f"recording offline; `wandb sync {fallen_back}/wandb/offline-run-*` sends it later" in said
    assert len(list(fallen_back.glob("wandb/offline-run-*/*.wandb"))) == 1


def test_a_training_heeds_the_environment_and_a_typed_flag_more(home, digits, tmp_path, monkeypatch):
    words = ["--dataset", "folder", "--data-dir", digits, "--log-dir", tmp_path, *SMALL, "--epochs", "1"]
    words += ["--wandb", "auto", "--project", "typed", "--run-name"]
    for name, value in {"API_KEY": KEY, "PROJECT": "p", "NAME": "n", "RUN_GROUP": "g", "RUN_ID": "i"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert "W&B could not" not in run("train.py", *words, "offline").stderr
    folder = tmp_path / "folder" / "offline"
    found = json.loads((folder / "wandb.json").read_text())
    # --run-name was typed, too
    expected = {"id": "i", "entity": None, "project": "typed", "group": "g", "name": "offline", "job_type": "train"}
    assert found == expected
    assert len(list(folder.glob("wandb/offline-run-*/*.wandb"))) == 1
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run("train.py", *words, "disabled")
    assert not (tmp_path / "folder" / "disabled" / "wandb.json").exists()


def records_of(file: Path) -> list:
    """What W&B wrote for its server: behind 7 bytes, LevelDB's log, whose pieces never cross a border of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, text, records = file.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:  # no room for a head
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        text += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # all of it, or its last piece
            records.append(Record())
            records[-1].ParseFromString(text)
            text = b""
    return records


def test_two_segments_of_a_training_are_one_run(home, digits, tmp_path):
    words = ["--dataset", "folder", "--data-dir", digits, "--log-dir", tmp_path, *SMALL, "--wandb", "offline"]
    run("train.py", *words, "--run-name", "one", "--epochs", "1")
    folder = tmp_path / "folder" / "one"
    run("train.py", "--resume-run", folder, "--epochs", "2", "--wandb", "offline")
    segments = [records_of(file) for file in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]
    assert len(segments) == 2
    runs = [next(record.run for record in records if record.WhichOneof("record_type") == "run") for records in segments]
    assert {run.run_id for run in runs} == {json.loads((folder / "wandb.json").read_text())["id"]}
    assert {(run.run_group, run.job_type) for run in runs} == {("folder_Proxy_Anchor", "train")}
    assert [list(run.tags) for run in runs] == [["folder", "resnet18", "Proxy_Anchor"], []]
    metrics = {
        record.metric.name: record.metric for record in segments[0] if record.WhichOneof("record_type") == "metric"
    }
    assert (metrics["eval/recall_at_1"].summary.max, metrics["eval/recall_at_1"].summary.last) == (True, True)
    assert (metrics["train/loss"].summary.min, metrics["train/loss"].step_metric) == (True, "epoch")
    epochs = []
    for records in segments:
        for record in records:
            items = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
            if "train/loss" in items:
                epochs.append(int(items["epoch"]))
    assert epochs == [1, 2]


def test_wandb_is_told_no_secret_of_the_command_line(home, tmp_path, monkeypatch):
    told = []
    config = SimpleNamespace(update=lambda *_, **__: None)
    run = SimpleNamespace(define_metric=lambda *_, **__: None, config=config)
    fake = SimpleNamespace(init=lambda **_: told.append(sys.argv) or run, Settings=lambda **_: None)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(sys, "argv", ["train.py", "--data-dir", "https://me:sesame@host/x"])
    assert open_wandb("offline", folder=tmp_path, typed=NOTHING_TYPED, otherwise=OTHERWISE, config={}) is not None
    assert told == [["train.py", "--data-dir", "https://***@host/x"]]
    assert sys.argv[-1] == "https://me:sesame@host/x"
