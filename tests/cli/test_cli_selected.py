"""Names that can be checked without images are checked before any is looked for."""

from __future__ import annotations

import pytest

from entrypoints import run_inside

PROGRAMS = {
    "train.py": ["--dataset", "cub"],
    "train_target.py": ["--dataset", "cub", "--source-ckpt", "no.pth"],
    "train_stml.py": ["--dataset", "cub"],
    "classify.py": ["--dataset", "cifar10"],
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "resnet19"], "'resnet19'. Did you mean 'resnet18'?"),
        (["--metrics", "recal"], "unknown metric 'recal'"),
        (["--select-metric", "recall_at_3"], "recall_at_3 is to choose the best epoch, but is not among the metrics"),
        (
            ["--metrics", "nmi"],
            "recall_at_1 is to choose the best epoch, but is not among the metrics of this run: nmi",
        ),
        (["--sampler", "rando"], "unknown sampler 'rando'"),
        (["--optimizer", "adan"], "'adan' is not one of"),
        (["--scheduler", "step_"], "'step_' is not one of"),
        (["--data-dir", ""], "--data-dir: the value is empty"),
        (["--sampler", "class_balanced"], "--sampler class_balanced needs --IPC"),
        (["--sampler", "balanced", "--batch-size", "3", "--IPC", "4"], "--batch-size 3 has no room for the 4 images"),
        (["--weights", __file__, "--pretrained", "0"], "add --pretrained 1, or leave out --weights"),
    ],
)
def test_a_wrong_name_is_told_where_no_data_are(program, words, said, tmp_path, capsys):
    if program == "classify.py" and words[0] in ("--metrics", "--sampler"):
        said = f"unknown argument {words[0]}"
    if program == "train_stml.py" and words[0] == "--sampler":
        said = "--sampler"
    where = [] if words[0] == "--data-dir" else ["--data-dir", tmp_path / "none"]
    printed = run_inside(program, *PROGRAMS[program], *where, *words, status=2, capsys=capsys)
    assert said in printed.err
    assert "not found" not in printed.err and "does not exist" not in printed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--loss", "adversarial_separation", "--embedding-size", "15"], "divide --embedding-size 15"),
        (["--loss", "snr", "--embedding-size", "1"], "needs --embedding-size 2 or more"),
        (
            ["--loss", "triplet", "--batch_mining", "parametric", "--miner_parametric_low", "3"],
            "--miner_parametric_low and _high need 0 <= low < high",
        ),
    ],
)
def test_what_no_data_could_mend_is_told_where_none_are(words, said, tmp_path, capsys):
    words = [*PROGRAMS["train.py"], "--data-dir", tmp_path / "none", *words]
    assert said in run_inside("train.py", *words, status=2, capsys=capsys).err


@pytest.mark.parametrize(("loss", "size", "rows"), [("DarkRank", 4, 5), ("RKD", 1, 2)])
def test_batches_too_small_to_compare(loss, size, rows, tmp_path, capsys):
    words = [*PROGRAMS["train_target.py"], "--data-dir", tmp_path / "none", "--loss", loss, "--batch-size", size]
    said = run_inside("train_target.py", *words, status=2, capsys=capsys).err
    assert f"--loss {loss} compares {rows} rows of a batch or more, images × views; --batch-size {size}" in said


def test_samplers_of_features_belong_to_one_program(tmp_path, capsys):
    words = [*PROGRAMS["train_target.py"], "--data-dir", tmp_path / "none", "--sampler", "d2_coreset", "--IPC", "2"]
    said = run_inside("train_target.py", *words, status=2, capsys=capsys).err
    assert "--sampler d2_coreset chooses by features of the training set, which train_target.py does not keep" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "pyramidnet200", "--pretrained"], "there are no ImageNet weights of pyramidnet200"),
        (["--model", "resnet18", "--pretrained"], "leave out --pretrained, or add --stem imagenet"),
    ],
)
def test_a_classifier_without_imagenet_weights(words, said, tmp_path, capsys):
    words = [*PROGRAMS["classify.py"], "--data-dir", tmp_path / "none", *words]
    assert said in run_inside("classify.py", *words, status=2, capsys=capsys).err


def test_what_the_data_set_publishes_can_choose(tmp_path, capsys):
    words = ["--data-dir", tmp_path / "none", "--select-metric"]
    for dataset, metric in (("SOP", "recall_at_1000"), ("Inshop", "recall_at_30"), ("cub", "recall_at_4")):
        said = run_inside("train.py", "--dataset", dataset, *words, metric, status=2, capsys=capsys).err
        assert f"dataset '{dataset}' not found" in said
        assert f"python scripts/download_dataset.py {dataset} --data-dir {tmp_path}/none" in said
    said = run_inside("train.py", "--dataset", "cub", *words, "recall_at_1000", status=2, capsys=capsys).err
    assert "recall_at_1000 is to choose" in said
