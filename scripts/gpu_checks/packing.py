"""The archive of a GPU check: code, images, weights, and wheels of what a machine with PyTorch may lack."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from dml.data import load_dataset
from dml.data.images import image_of
from dml.data.records import ImageRecords
from dml.errors import UserError
from dml.writing import replacing
from gpu_checks.stages import COMMIT, FOLDER, IMAGES, MOST_BYTES, ROOT, WEIGHTS, WHEELS

PIXELS, QUALITY = 112, 90  # of the images, and of JPEG
# Pure Python; what a machine has already is not taken from here.
PACKAGES = (
    *("lightning-fabric", "lightning-utilities", "pytest", "iniconfig", "pluggy", "packaging", "tqdm", "timm"),
    "pytorch-metric-learning",
)


def pack(archive: Path, data: Path, weights: Path) -> str:
    """Write ``archive``, and say what it holds.

    Args:
        data: Cars-196, of which the training half goes along.
        weights: of MobileNetV2.

    Raises:
        UserError: no such data set or file, no git repository, wheels that cannot be had, or more than MOST_BYTES.
    """
    if not weights.is_file():
        raise UserError(f"--weights {weights} is no file")
    train = load_dataset("cars", data).train
    with tempfile.TemporaryDirectory() as folder, replacing(archive) as file:
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for path in (*_code(), *_wheels(Path(folder))):
                name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(WHEELS) / path.name
                tar.add(path, f"{FOLDER}/{name}", recursive=False)
            tar.add(weights, f"{FOLDER}/{WEIGHTS}")
            _add(tar, COMMIT, _git("describe", "--always", "--dirty", "--abbrev=12").encode())
            for name, content in jpegs(train):
                _add(tar, f"{IMAGES}/{name}", content)
        size = file.tell()
        if size > MOST_BYTES:
            raise UserError(f"{archive} would have {size / 2**20:.0f} MiB, more than {MOST_BYTES // 2**20}")
    return f"{archive}: {len(train):,} images of {train.num_classes} classes, {size / 2**20:.1f} MiB"


def jpegs(records: ImageRecords) -> Iterator[tuple[str, bytes]]:
    """Name, in a folder for each class, and content of every image, squashed to a square of PIXELS."""
    for index, label in enumerate(records.labels.tolist()):
        file = io.BytesIO()
        small = image_of(records, index).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
        small.save(file, "JPEG", quality=QUALITY)
        yield f"class_{label:03d}/{index:05d}.jpg", file.getvalue()


def _code() -> list[Path]:
    return [ROOT / name for name in _git("ls-files").splitlines() if (ROOT / name).is_file()]


def _wheels(folder: Path) -> list[Path]:
    words = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder), *PACKAGES]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"pip cannot get the wheels: {done.stderr.strip().splitlines()[-1]}")
    return sorted(folder.glob("*.whl"))


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{ROOT} is no git repository that says what to pack: {done.stderr.strip()}")
    return done.stdout.strip()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(f"{FOLDER}/{name}")
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
