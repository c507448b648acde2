"""What is done for a user's own images alone: they are turned upright, and what is passed over is said."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from dml.data.formats import image_suffixes, remedy
from dml.data.layout import DatasetWarning, class_folders, files_below, is_image
from dml.data.records import ImageRecords

Splits = TypeVar("Splits")  # a dataclass whose fields hold image records, or what not

MAX_NAMED = 5  # of a list that a message names
NO_ENDING = "without an ending"
# Files that nobody takes for an image, by their ending: text and tables, archives, programs, arrays and weights,
# film and sound, and what cameras and file managers leave beside the images.
COMPANIONS = frozenset(
    {
        *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".md", ".rst", ".xml", ".html", ".yaml", ".yml", ".toml", ".log"),
        *(".pdf", ".doc", ".docx", ".xls", ".xlsx", ".pkl", ".parquet", ".h5"),
        *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".md5", ".sha1", ".sha256"),
        *(".py", ".ipynb", ".sh", ".bat", ".js", ".css", ".m"),
        *(".npz", ".npy", ".mat", ".pt", ".pth", ".ckpt", ".onnx", ".safetensors"),
        *(".mp4", ".mov", ".avi", ".mkv", ".m4v", ".3gp", ".mp3", ".m4a", ".wav"),
        *(".xmp", ".aae", ".thm", ".db", ".ini", ".lnk", ".url", ".bak", ".tmp"),
    }
)
COMPANION_NAMES = frozenset({"readme", "license", "licence", "icon\r"})  # "icon\r": an icon of a folder of macOS


def turned_upright(data: Splits) -> Splits:
    """``data`` with every split's images to be turned as their EXIF orientation says."""
    splits = {field.name: getattr(data, field.name) for field in fields(data)}
    return replace(
        data,
        **{name: replace(split, upright=True) for name, split in splits.items() if isinstance(split, ImageRecords)},
    )


def warn_of_left_out(folder: Path, *, class_roots: Sequence[Path] = ()) -> None:
    """Say once what in ``folder`` is not read: files whose ending is none of an image, class folders without an image,
    folders beside those of the splits, images beside the class folders, and folders that cannot be opened. Hidden files
    and those that are plainly no images are not worth a word.

    Takes one directory listing per folder; no file is opened.

    Args:
        class_roots: the folders in ``folder``, or itself, that hold class folders; none: there are no classes.

    Warns:
        DatasetWarning: something is left out.
    """
    closed: list[OSError] = []
    roots = [root / name for root in class_roots for name in class_folders(root)]
    classes = {root: list(_names_below(root, closed)) for root in roots}
    tops = {folder, *class_roots} if class_roots else set()
    beside = [entry.name for top in tops for entry in top.iterdir() if entry.is_file()]
    unsplit = [name for name in class_folders(folder) if folder / name not in tops] if len(tops) > 1 else []
    names = (
        beside + [name for files in classes.values() for name in files] if class_roots else _names_below(folder, closed)
    )
    unread = Counter(Path(name).suffix.lower() or NO_ENDING for name in names if _may_be_image(name))
    empty = [str(path.relative_to(folder)) for path, files in classes.items() if not any(map(is_image, files))]
    astray = sum(map(is_image, beside))
    parts = []
    if unread:
        endings = [f"{count:,} {ending}" for ending, count in unread.most_common()]
        parts.append(f"{counted(unread.total(), 'file is', 'files are')} not read as images ({some(endings)})")
    if empty:
        parts.append(f"{counted(len(empty), 'class folder holds', 'class folders hold')} no image ({some(empty)})")
    if unsplit:
        parts.append(f"{counted(len(unsplit), 'folder', 'folders')} beside the splits not read ({some(unsplit)})")
    if astray:
        parts.append(f"{counted(astray, 'image lies', 'images lie')} beside the class folders, not in one")
    if closed:
        which = some([str(error.filename) for error in closed])
        parts.append(f"{counted(len(closed), 'folder', 'folders')} cannot be opened ({which})")
    if parts:
        read = f"; read are {' '.join(sorted(image_suffixes()))}" if unread else ""
        remedies = [f"; {ending} after `{command}`" for ending in sorted(unread) if (command := remedy(ending))]
        warnings.warn(f"{folder}: {', '.join(parts)}{read}{''.join(remedies)}", DatasetWarning)


def _names_below(folder: Path, closed: list[OSError]) -> Iterable[str]:
    return (name for _, files in files_below(folder, on_error=closed.append) for name in files)


def _may_be_image(name: str) -> bool:
    """Whether a file that is not read could be an image of the user's all the same."""
    is_litter = name.startswith(".") or name.lower() in COMPANION_NAMES
    return not (is_image(name) or is_litter or Path(name).suffix.lower() in COMPANIONS)


def counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def some(items: Sequence[str]) -> str:
    """The first few of ``items``, then how many more there are."""
    more = f" and {len(items) - MAX_NAMED:,} more" if len(items) > MAX_NAMED else ""
    return ", ".join(items[:MAX_NAMED]) + more
