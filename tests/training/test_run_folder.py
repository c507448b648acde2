"""Sources of embedding transfer are kept under their published names."""

from __future__ import annotations

import pytest

from dml.cli.train import parse_train
from dml.config import ConfigWarning
from dml.training.run_folder import keep_as_source


def test_published_name_and_nothing_overwritten(tmp_path):
    config = parse_train(["--as-source"]).config
    run, folder = tmp_path / "run", tmp_path / "sources"
    run.mkdir()
    (run / "best.pt").write_text("first")
    first = keep_as_source(config, run, folder)
    assert first == folder / "bn_inception" / "cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth"
    (run / "best.pt").write_text("second")
    second = keep_as_source(config, run, folder)
    assert second.name == "cub_bn_inception_512dim_Proxy_Anchor_ckpt_2.pth"
    assert (first.read_text(), second.read_text()) == ("first", "second")


def test_sources_of_own_images_are_named_after_them(tmp_path):
    config = parse_train(["--as-source", "--save", "1", "--dataset", "folder", "--data-dir", "/a/photos"]).config
    (tmp_path / "best.pt").touch()
    assert keep_as_source(config, tmp_path, tmp_path).name == "photos_bn_inception_512dim_Proxy_Anchor_ckpt.pth"


def test_as_source_brings_the_published_defaults_of_sources(monkeypatch):
    monkeypatch.setattr("dml.cli.workers.cores", lambda: 8)
    config = parse_train(["--as-source"]).config
    assert config.recipe == "transfer_source"
    assert config.run.save, "which the published code does not"
    assert (config.data.batch_size, config.optim.epochs, config.data.workers) == (90, 60, 8)
    assert (config.model.l2_norm, config.model.bn_freeze, config.optim.warm) == (False, False, 0)
    assert (config.run.seed, config.evaluation.eval_distance, config.model.head_init) == (1, "euclidean", "orthogonal")
    assert (config.optim.scheduler, config.optim.clip_value) == ("step", 10)


def test_a_source_that_is_not_saved_is_warned_of():
    with pytest.warns(ConfigWarning, match="--as-source keeps no network with --save 0"):
        parse_train(["--as-source", "--save", "0"])
