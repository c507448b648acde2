"""scripts/benchmark.py: rows, limits, exit codes, JSON."""

from __future__ import annotations

import json

import pytest
import torch

import benchmark
from benchmarks import evaluator
from benchmarks.measure import Options, Row, interleaved_seconds, peak_memory_gb
from dml.registry import Registry

CPU = torch.device("cpu")


def test_cost_and_speedup():
    assert Row.cost("a", 3.0, "s", yardstick=2.0, limit=1.5) == Row("a", 3.0, "s", 2.0, 1.5, 1.5, True)
    assert not Row.cost("a", 3.1, "s", yardstick=2.0, limit=1.5).ok
    assert Row.cost("a", 1.4, "GB", limit=1.5).ok
    assert not Row.cost("a", 1.6, "GB", limit=1.5).ok
    assert Row.cost("a", 1e9, "s").ok
    assert Row.speedup("a", 0.1, "s", yardstick=1.0, limit=9).ok
    assert not Row.speedup("a", 0.1, "s", yardstick=1.0, limit=11).ok


@pytest.mark.parametrize(("limit", "exit_code"), [(2.0, 0), (0.5, 1)])
def test_rows_reach_table_file_and_exit_code(tmp_path, monkeypatch, capsys, limit, exit_code):
    def rows(options):
        assert options.full
        yield Row.cost("one", 1.0, "s", yardstick=1.0, limit=limit)

    def never(options):
        raise AssertionError("not asked for")

    entries = {"mine": rows, "other": never}
    monkeypatch.setattr(benchmark, "BENCHMARKS", Registry("benchmark", entries))
    path, threads = tmp_path / "rows.json", torch.get_num_threads()
    assert benchmark.main(["mine", "--json", str(path), "--full", "--threads", str(threads)]) == exit_code
    expected = {"name": "one", "value": 1.0, "unit": "s", "yardstick": 1.0, "ratio": 1.0}
    assert json.loads(path.read_text()) == [expected | {"limit": limit, "ok": not exit_code}]
    assert "one" in capsys.readouterr().out
    path.write_text(json.dumps([expected | {"value": 0.75}, expected | {"name": "gone"}]))
    benchmark.main(["mine", "--compare", str(path), "--full", "--threads", str(threads)])
    assert capsys.readouterr().out.splitlines()[-1].endswith(" 0.75")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "/nowhere/rows.json"], "--json /nowhere/rows.json: there is no such folder"),
        (["--compare", "/nowhere/rows.json"], "--compare /nowhere/rows.json: no file of an earlier --json can be read"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--device", "abacus"], "argument --device: Expected one of cpu"),
    ],
)
def test_mistakes_are_named_before_anything_is_measured(capsys, arguments, message):
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
    assert message in capsys.readouterr().err


def test_unknown_benchmark(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["evaluatr"])
    assert "Did you mean 'evaluator'" in capsys.readouterr().err


def test_interleaved_calls_take_turns():
    calls = []
    seconds = interleaved_seconds(
        lambda: calls.append("a"), lambda: calls.append("b"), repeats=2, device=CPU, warm_up=True
    )
    assert calls == ["a", "b"] * 3
    assert all(duration >= 0 for duration in seconds)


def ten_megabytes(device):
    return torch.ones(2_500_000, device=device)


def add_two_hundred_megabytes(data):
    return data.repeat(20)


@pytest.mark.slow
def test_peak_memory_counts_the_work_alone():
    options = Options(device=CPU, threads=1, full=False)
    ballast = torch.ones(100_000_000)  # in this process, so it must not count
    assert 0.19 < peak_memory_gb(ten_megabytes, add_two_hundred_megabytes, options) < 0.3
    del ballast


def test_clustered_embeddings_are_unit_and_repeat():
    embeddings, labels = evaluator.clustered(5000, 40, CPU)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(5000))
    again = evaluator.clustered(5000, 40, CPU)
    assert torch.equal(embeddings, again[0])
    assert torch.equal(labels, again[1])
