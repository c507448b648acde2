"""What a user who typed nothing of it is told."""

from __future__ import annotations

from entrypoints import run


def test_a_run_of_defaults_warns_of_nothing(digits, tmp_path):
    own = ["--pretrained", "0", "--lr", "1e-3", "--bn-freeze", "0", "--warm", "0"]  # what suits random weights
    small = ["--model", "resnet18", "--crop-size", "32", "--resize", "32", "--embedding-size", "16", "--epochs", "2"]
    arguments = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(tmp_path)]
    # Two steps find less than pixels alone, which is said where pixels are judged.
    done = run("train.py", *arguments, *own, *small, "--baselines", "0")
    assert "warning" not in (done.stdout + done.stderr).lower()
    assert "--batch-size 150 is more than the training set of 120 images of 5 classes fills" in done.stderr
    assert ", on cpu; 32" in done.stdout
    (best,) = tmp_path.glob("digits*/*/best.pt")
    judged = run("evaluate.py", "--ckpt", str(best))
    assert "warning" not in (judged.stdout + judged.stderr).lower()
