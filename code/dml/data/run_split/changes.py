"""What became of a run's images: which of today's are the same, and what changed, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from dml.data.run_split.table import MISSING, UNUSED, SplitTable

MOST_NAMED = 3
"""Files and classes that a message names of each kind."""


@dataclass(frozen=True, eq=False)
class Changes:
    """A recorded table against one of the images as they are.

    Attributes:
        places: (N,) int64 for each row recorded the row of the same image now; −1: it is gone.
        strangers: rows of images now that the record does not know, ascending.
        renamed: class name recorded → its name now.
        classes_gone: recorded classes of which nothing is left.
        classes_new: classes now that the record does not know.
        gone, new, changed: paths: recorded and gone, unknown to the record, of another size.
        relabelled: (path, recorded class, class now).
        moved: (path, recorded split, split now).
    """

    places: np.ndarray
    strangers: np.ndarray
    renamed: dict[str, str]
    classes_gone: list[str]
    classes_new: list[str]
    gone: list[str]
    new: list[str]
    changed: list[str]
    relabelled: list[tuple[str, str, str]]
    moved: list[tuple[str, str, str]]

    def today(self, name: str) -> str:
        """The name now of a recorded class; that of one whose name another class has taken says that it is gone."""
        if name in self.renamed:
            return self.renamed[name]
        return f"{name} (gone)" if name in self.renamed.values() else name

    def __bool__(self) -> bool:
        return bool(self.renamed or self.gone or self.new or self.changed or self.relabelled or self.moved)

    def __str__(self) -> str:
        """Such as ``1 class renamed (00 → zz), 3 files gone (01/1.png, 01/2.png, 01/3.png), 12 new (…)``."""
        parts = [
            _named(len(self.renamed), "class renamed", (f"{old} → {new}" for old, new in self.renamed.items())),
            _named(len(self.classes_gone), "class gone", self.classes_gone),
            _named(len(self.classes_new), "class new", self.classes_new),
        ]
        kinds = (
            ("gone", self.gone),
            ("new", self.new),
            ("changed", self.changed),
            ("under another class", [f"{path}: {old} → {new}" for path, old, new in self.relabelled]),
            ("in another split", [f"{path}: {old} → {new}" for path, old, new in self.moved]),
        )
        noun = "file "
        for what, items in kinds:
            parts.append(_named(len(items), noun + what, items))
            noun = "" if items else noun
        return ", ".join(filter(None, parts))


def _named(number: int, what: str, items: Iterable[str]) -> str:
    """``2 files gone (a, b)``, naming the first few; nothing of none."""
    if not number:
        return ""
    if number > 1:
        what = what.replace("class ", "classes ").replace("file ", "files ")
    return f"{number:,} {what} ({name_some(items)})"


def name_some(items: Iterable[str], limit: int = MOST_NAMED) -> str:
    """The first few of ``items``, and dots if there are more."""
    items = list(items)
    return ", ".join(items[:limit]) + ", …" * (len(items) > limit)


def compare(
    recorded: SplitTable, now: SplitTable, *, by_rule: bool = False, passed_over: Collection[str] = ()
) -> Changes:
    """Find each recorded image among those of ``now``: by its path, class and, unless ``by_rule``, split.

    A class counts as renamed if files of the same names within it, and of the same sizes, stand under another name,
    and no other class could be meant. Contents are not read: another file of the same size is not noticed.

    One pass over dictionaries of the paths.

    Args:
        by_rule: whether the splits of ``now`` follow from a rule, so that they mean nothing.
        passed_over: paths that the run leaves out: not new, whatever became of them.
    """
    hidden = set(passed_over)
    seen = np.flatnonzero([path not in hidden for path in now.paths])
    now, keys = now.take(seen), _Keys(recorded, now, by_rule)
    places = _match(keys, recorded, now)
    renamed = _renamed(recorded, now, places)
    if renamed:
        places = _match(keys, _under_new_names(recorded, renamed), now)
    told = _told(recorded, now, places, renamed)
    places = np.full(len(recorded), -1, np.int64)
    places[told.places >= 0] = seen[told.places[told.places >= 0]]
    return replace(told, places=places, strangers=seen[told.strangers])


def positions(earlier: SplitTable, later: SplitTable, split: str = "train") -> np.ndarray:
    """(N,) int64 for each image of ``split`` as numbered by ``earlier`` its number by ``later``; −1: it is gone."""
    rows, later_rows = earlier.rows_of(split), later.rows_of(split)
    number = np.full(len(later) + 1, -1, np.int64)  # its last place is that of −1
    number[later_rows] = np.arange(len(later_rows))
    return number[compare(earlier, later).places[rows]]


class _Keys:
    """What tells an image from others: split (unless by rule), path, class; lists may hold it several times.

    Held-out images count as training images where nothing but the run's seed told them apart.
    """

    def __init__(self, recorded: SplitTable, now: SplitTable, by_rule: bool):
        self.by_rule = by_rule
        self.val_by_seed = "val" in recorded.splits and "val" not in now.splits

    def of(self, table: SplitTable) -> Iterable[tuple[str, str, str]]:
        return zip(map(self.split, table.splits), table.paths, table.classes, strict=True)

    def split(self, name: str) -> str:
        if self.by_rule:
            return UNUSED if name == UNUSED else ""
        return "train" if name == "val" and self.val_by_seed else name


def _match(keys: _Keys, recorded: SplitTable, now: SplitTable) -> np.ndarray:
    """(N,) the row now of each row recorded; −1: none."""
    rows: dict[tuple, list[int]] = defaultdict(list)
    unused: dict[tuple, list[int]] = defaultdict(list)
    for row, key in enumerate(keys.of(recorded)):
        if key[1]:
            (unused[key[1:]] if key[0] == UNUSED else rows[key]).append(row)
    for found in (*rows.values(), *unused.values()):
        found.reverse()  # of an image listed several times the first is met first
    places = np.full(len(recorded), -1, np.int64)
    recorded_sizes, sizes = recorded.sizes.tolist(), now.sizes.tolist()
    for place, key in enumerate(keys.of(now)):
        found = rows.get(key) or unused.get(key[1:])
        if found:
            row = found.pop()
            if sizes[place] != MISSING or recorded_sizes[row] == MISSING:
                places[row] = place
    return places


def _renamed(recorded: SplitTable, now: SplitTable, places: np.ndarray) -> dict[str, str]:
    """Class name recorded → name now, for classes whose files all stand under another one."""
    found = places >= 0
    same = np.zeros(len(recorded), bool)
    same[found] = recorded.sizes[found] == now.sizes[places[found]]
    is_explained = np.zeros(len(now), bool)
    is_explained[places[same]] = True
    before = _signatures(recorded, {recorded.classes[row] for row in np.flatnonzero(~same & recorded.is_used)})
    after = _signatures(now, {now.classes[row] for row in np.flatnonzero(~is_explained)})
    times, times_after = Counter(before.values()), Counter(after.values())
    names = {files: name for name, files in after.items() if times_after[files] == 1}
    renamed = {old: names[files] for old, files in before.items() if times[files] == 1 and files in names}
    renamed = {old: new for old, new in renamed.items() if old != new}
    # A class that is still there, but for those that took each other's names, has been copied rather than renamed.
    present = set(now.classes)
    while copied := [old for old in renamed if old in present and old not in renamed.values()]:
        for old in copied:
            del renamed[old]
    return renamed


def _signatures(table: SplitTable, classes: Collection[str]) -> dict[str, frozenset]:
    """Of each of ``classes`` its files: path without the class's name, size; however often and in which splits."""
    files: dict[str, set] = {name: set() for name in sorted(classes)}
    for path, name, size in zip(table.paths, table.classes, table.sizes.tolist(), strict=True):
        if name in files and path and size != MISSING:
            files[name].add((_with_class(path, name, ""), size))
    return {name: frozenset(found) for name, found in files.items() if found}


def _with_class(path: str, name: str, other: str) -> str:
    """``path`` with folders of one name under another one."""
    *folders, file = path.split("/")
    return "/".join([*(other if folder == name else folder for folder in folders), file])


def _under_new_names(table: SplitTable, renamed: dict[str, str]) -> SplitTable:
    """``table`` as it would read with classes ``renamed``; classes that had those names before are lost."""
    lost = set(renamed.values()) - set(renamed)
    paths = [
        "" if name in lost else _with_class(path, name, renamed[name]) if name in renamed else path
        for path, name in zip(table.paths, table.classes, strict=True)
    ]
    return replace(table, paths=tuple(paths), classes=tuple(renamed.get(name, name) for name in table.classes))


def _told(recorded: SplitTable, now: SplitTable, places: np.ndarray, renamed: dict[str, str]) -> Changes:
    """Everything that is said of images whose ``places`` are known."""
    is_stranger = now.is_used & (now.sizes != MISSING)
    is_stranger[places[places >= 0]] = False
    strangers = np.flatnonzero(is_stranger).tolist()
    by_path: dict[str, list[int]] = defaultdict(list)
    for place in reversed(strangers):
        by_path[now.paths[place]].append(place)
    gone: list[str] = []
    relabelled: list[tuple[str, str, str]] = []
    moved: list[tuple[str, str, str]] = []
    elsewhere: set[int] = set()
    lost, kept = (np.flatnonzero(recorded.is_used & side).tolist() for side in (places < 0, places >= 0))
    for row in lost:
        path, name, split = recorded.paths[row], recorded.classes[row], recorded.splits[row]
        if not by_path.get(path):
            gone.append(path)
            continue
        place = by_path[path].pop()
        elsewhere.add(place)
        if now.classes[place] == name:
            moved.append((path, split, now.splits[place]))
        else:
            relabelled.append((path, name, now.classes[place]))
    known = {name for name, split in zip(recorded.classes, recorded.splits, strict=True) if split != UNUSED}
    known |= set(renamed.values())
    left = {recorded.classes[row] for row in kept} | set(renamed)
    return Changes(
        places=places,
        strangers=np.array(strangers, np.int64),
        renamed=renamed,
        classes_gone=sorted({recorded.classes[row] for row in lost} - left),
        classes_new=sorted({now.classes[place] for place in strangers} - known),
        gone=sorted(gone),
        new=sorted(now.paths[place] for place in strangers if place not in elsewhere),
        changed=sorted(now.paths[places[row]] for row in kept if recorded.sizes[row] != now.sizes[places[row]]),
        relabelled=sorted(relabelled),
        moved=sorted(moved),
    )
