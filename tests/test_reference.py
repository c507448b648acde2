"""Every reference vector file, one test per file: ``pytest tests/test_reference.py [--reference-dir DIR]``.

Without ``--reference-dir`` the vectors of ``tests/reference`` are run. The terminal summary (``-rA`` or a
failure) shows, per file, the largest error found.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from reference_checks import CHECKS

pytestmark = pytest.mark.slow

DEFAULT_DIR = Path(__file__).parent / "reference"


class Comparison:
    """Collects the errors of one file's comparisons; asserts those that must hold."""

    def __init__(self) -> None:
        self.errors: dict[str, float] = {}
        self.failures: list[str] = []
        self.asserted = 0

    @staticmethod
    def _arrays(ours, expected) -> tuple[np.ndarray, np.ndarray]:
        ours = ours.detach().cpu().numpy() if isinstance(ours, torch.Tensor) else np.asarray(ours)
        return ours.astype(np.float64), np.asarray(expected).astype(np.float64)

    def report(self, name: str, ours, expected) -> None:
        """Note the largest relative error without asserting anything."""
        ours, expected = self._arrays(ours, expected)
        if ours.shape != expected.shape:
            self.errors[name] = float("inf")
            return
        scale = np.maximum(np.abs(expected), 1e-3)
        self.errors[name] = float(np.max(np.abs(ours - expected) / scale, initial=0.0))

    def __call__(self, name: str, ours, expected, rtol: float = 1e-6, atol: float = 1e-8) -> None:
        """Require ``|ours − expected| ≤ atol + rtol·|expected|`` and equal shapes."""
        self.report(name, ours, expected)
        self.asserted += 1
        ours, expected = self._arrays(ours, expected)
        if ours.shape != expected.shape:
            self.failures.append(f"{name}: shape {ours.shape}, expected {expected.shape}")
        elif not np.allclose(ours, expected, rtol=rtol, atol=atol):
            self.failures.append(f"{name}: largest absolute error {np.max(np.abs(ours - expected)):.3g}")

    def summary(self) -> str:
        """The line that says how far off the file's worst value is."""
        worst = max(self.errors, key=lambda name: self.errors[name], default=None)
        if worst is None:
            return "nothing compared"
        return f"{self.asserted} asserted, largest relative error {self.errors[worst]:.2e} ({worst})"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folders = [Path(d) for d in metafunc.config.getoption("--reference-dir") or [DEFAULT_DIR]]
    files = []
    for folder in folders:
        found = sorted(folder.glob("*.npz"))
        if not found:
            raise pytest.UsageError(f"no .npz reference vectors in {folder.resolve()}")
        files += found
    metafunc.parametrize("path", files, ids=[f.stem for f in files])


def test_reference(path: Path, record_property: pytest.FixtureRequest, capsys: pytest.CaptureFixture) -> None:
    check = CHECKS.get(path.stem)
    if check is None:
        pytest.skip(f"{path.stem}: its method is not built yet")
    compare = Comparison()
    with np.load(path, allow_pickle=False) as vectors:
        check(vectors, compare)
    record_property("largest_error", compare.summary())
    with capsys.disabled():
        print(f"\n  {path.stem}: {compare.summary()}", end=" ")
    assert compare.errors, "the check compared nothing"
    assert not compare.failures, "\n".join(compare.failures)
