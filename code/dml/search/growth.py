"""What becomes of photographs that are to be added, decided by the items that there are."""

from __future__ import annotations

from dataclasses import dataclass

from dml.search.items import PRESENT, Item, NewItem, state_of


@dataclass(frozen=True)
class Added:
    """What became of photographs that were to be added.

    Attributes:
        ids: of the new items.
        replaced: how many of them stand for a file that had changed.
        known: how many were there already.
        copies: how many were there under another path.
    """

    ids: tuple[int, ...] = ()
    replaced: int = 0
    known: int = 0
    copies: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(
            self.ids + other.ids,
            self.replaced + other.replaced,
            self.known + other.known,
            self.copies + other.copies,
        )


@dataclass(frozen=True)
class Growth:
    """What ``Index.add`` did.

    Attributes:
        added: see ``Added``.
        faults: path and reason of each photograph that could not be read.
    """

    added: Added
    faults: tuple[tuple[str, str], ...]


class Plan:
    """What becomes of photographs that are to be added.

    Args:
        first_id, first_row: of the new items.
    """

    def __init__(self, first_id: int, first_row: int):
        self.first_id, self.first_row = first_id, first_row
        self.fresh: list[tuple[int, Item]] = []  # with their places among the photographs
        self.retold: list[Item] = []
        self.removed: list[int] = []
        self.known = self.copies = 0

    def take(self, place: int, new: NewItem, by_digest: dict[bytes, Item], by_path: dict[str, Item]) -> None:
        """Decide on one, by the items that there are; these are kept up to date."""
        same, old = by_digest.get(new.digest), by_path.get(new.path)
        if same is not None and same.path != new.path and state_of(same) == PRESENT:
            self.copies += 1
            return
        if old is not None and old.digest != new.digest:
            self.removed.append(old.id)
            by_digest.pop(old.digest, None)
        if same is None:
            row, number = self.first_row + len(self.fresh), self.first_id + len(self.fresh)
            item = Item(number, row, new.path, new.label, new.size, new.time, new.digest)
            self.fresh.append((place, item))
        else:
            # A look at it without a label does not take its label away.
            label = same.label if new.label is None and same.path == new.path else new.label
            item = same._replace(path=new.path, label=label, size=new.size, time=new.time)
            self.known += 1
            if item != same:
                self.retold.append(item)
                by_path.pop(same.path, None)
        by_digest[item.digest] = by_path[item.path] = item

    def added(self) -> Added:
        """The same in numbers."""
        return Added(tuple(item.id for _, item in self.fresh), len(self.removed), self.known, self.copies)
