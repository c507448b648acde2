"""What a user who typed nothing of it is told."""

from __future__ import annotations

from entrypoints import run


def test_a_run_of_defaults_warns_of_nothing(digits, tmp_path):
    small = ["--pretrained", "0", "--crop-size", "32", "--embedding-size", "16", "--epochs", "2"]
    arguments = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(tmp_path)]
    # Two steps find less than pixels alone, which is said where pixels are judged.
    done = run("train.py", *arguments, *small, "--baselines", "0")
    assert "warning" not in (done.stdout + done.stderr).lower()
    assert "Proxy_Anchor: own photographs defaults where no flag says otherwise (--recipe folder)" in done.stdout
    assert ", on cpu; 32" in done.stdout
    (best,) = tmp_path.glob("digits*/*/best.pt")
    judged = run("evaluate.py", "--ckpt", str(best))
    assert "warning" not in (judged.stdout + judged.stderr).lower()
