"""Which folders of a user's own images are splits and which are classes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dml.data.layout import DatasetError, DatasetWarning, class_folders, is_image
from dml.data.own_images import some

UNSPLIT = ""  # the key of images that belong to no named split

# Split → the names it goes by, in any case.
NAMES = {
    "train": ("train", "training", "trainset"),
    "test": ("test", "testing", "testset"),
    "val": ("val", "valid", "validation", "valset", "dev"),
    "query": ("query", "queries", "probe"),
    "gallery": ("gallery",),
}
SPLITS = tuple(NAMES)
_SPLIT_OF = {name: split for split, names in NAMES.items() for name in names}
_FILLERS = {"set", "split", "data", "images"}  # train_set, Test-Images
_NUMBERED = re.compile(rf"({'|'.join(_SPLIT_OF)})[ _-]?(\d+|[a-d])", re.IGNORECASE)  # train1, testB


@dataclass(frozen=True)
class SplitRules:
    """What a kind of training makes of splits.

    Attributes:
        needed: the sets of splits of which one must be there.
        known: the splits that it reads.
        without: what it does with class folders that lie in no split.
    """

    needed: tuple[tuple[str, ...], ...]
    known: tuple[str, ...]
    without: str


RETRIEVAL = SplitRules(
    needed=(("train", "test"), ("train", "query", "gallery")),
    known=SPLITS,
    without="half of its classes are held out to test",
)
EVERY_SPLIT = SplitRules(  # what is trained on without a test
    needed=(("train",),),
    known=SPLITS,
    without="all of it trains",
)
CLASSIFICATION = SplitRules(
    needed=(("train", "test"), ("train", "val")),
    known=("train", "test", "val"),
    without="a fifth of its images is held out to test",
)


def split_of(name: str) -> str | None:
    """The split that a folder or the entry of a table means: train, test, val, query or gallery; None: no split.

    ``Train``, ``training`` and ``train_set`` are train; ``valid`` and ``validation`` are val.
    """
    words = [word for word in re.split(r"[ _-]+", name.strip().lower()) if word not in _FILLERS]
    return _SPLIT_OF.get(words[0]) if len(words) == 1 else None


def split_folders(root: Path, rules: SplitRules) -> dict[str, Path]:
    """Split → the folder that holds its class folders; {UNSPLIT: root} where the folders in ``root`` are the classes.

    Looks once into each folder in ``root``.

    Raises:
        DatasetError: folders that are splits by their names, but not such as ``rules`` ask for, and that hold folders
            or are all there is; two folders for one split; a single folder that holds nothing but folders.

    Warns:
        DatasetWarning: classes whose names are those of splits, or whose folders hold nothing but folders.
    """
    names = class_folders(root)
    holds = {name: _look_into(root / name) for name in names}
    nested = [name for name in names if holds[name] == (False, True)]
    flat = [name for name in names if holds[name] == (True, False)]
    found: dict[str, list[str]] = {}
    for name in names:
        if (split := split_of(name)) in rules.known and name not in flat:
            found.setdefault(split, []).append(name)
    for split, same in found.items():
        if len(same) > 1:
            raise DatasetError(f"{root}: the folders {_list(same)} both mean the split {split!r}: rename one of them")
    if any(set(needed) <= set(found) for needed in rules.needed):
        return {split: root / same[0] for split, same in sorted(found.items())}
    likely = [name for name in names if split_of(name) or _NUMBERED.fullmatch(name)]
    if set(likely) & set(nested) or (likely and likely == names):
        raise DatasetError(_not_usable(root, likely, flat, rules))
    if len(names) == 1 and nested:
        inner = root / names[0]
        raise DatasetError(f"{root} holds one folder, {names[0]}, and that only folders: give --data-dir {inner}")
    _warn_of_odd_classes(root, names, likely, nested)
    return {UNSPLIT: root}


def _look_into(folder: Path) -> tuple[bool, bool]:
    """Whether an image, and whether a folder, lies directly in ``folder``; neither if it cannot be opened."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except PermissionError:
        return False, False
    return any(is_image(entry.name) for entry in entries), any(entry.is_dir() for entry in entries)


def _not_usable(root: Path, likely: Sequence[str], flat: Sequence[str], rules: SplitRules) -> str:
    """Why the folders ``likely`` are no splits to train and test on, and the ways out."""
    one = len(likely) == 1
    are = "by its name {} is a split, not a class" if one else "by their names {} are splits, not classes"
    said = f"{root}: {are.format(_list(likely))}"
    if without := [name for name in likely if name in flat]:
        said += f", and {_list(without)} {'holds' if len(without) == 1 else 'hold'} no class folders"
    splits = {split: name for name in likely if (split := split_of(name)) and name not in flat}
    if not splits:
        return f"{said}. Splits are called train, test or val, and hold a folder for each class"
    lacking = [[split for split in needed if split not in splits] for needed in rules.needed]
    fewest = min(map(len, lacking))
    missing = _list([_list(names) for names in lacking if len(names) == fewest], "or")
    ways = [f"add {missing}", f"give --data-dir {root / splits.get('train', likely[0])}: {rules.without}"]
    if "train" in splits and "val" in splits:
        said += "; a validation split chooses the epoch, and nothing is tested on it"
        ways[0] = f"rename {splits['val']} to test"
    ways.append("call it otherwise if it is a class" if one else "call them otherwise if they are classes")
    return f"{said}. {missing} is missing: {', or '.join(ways)}"


def _warn_of_odd_classes(root: Path, names: Sequence[str], likely: Sequence[str], nested: Sequence[str]) -> None:
    parts = []
    if likely:
        count = "counts as a class" if len(likely) == 1 else "count as classes"
        parts.append(f"{some(likely)} {count}, since images lie directly in there; splits hold class folders")
    if nested:
        which = "every folder holds" if len(nested) == len(names) else f"{len(nested)} of {len(names)} folders hold"
        parts.append(
            f"{which} only folders ({some(nested)}), and all images below one count as one class. If classes lie"
            " deeper, give the folder that holds theirs with --data-dir, or a CSV file path,label"
        )
    for part in parts:
        warnings.warn(f"{root}: {part}", DatasetWarning)


def _list(names: Sequence[str], word: str = "and") -> str:
    """'a', 'a and b', 'a, b and c'."""
    return f" {word} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
