"""The nearest photographs of an index: by exact search, or by its engine and then in exact order."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dml.errors import UserError
from dml.neighbours import nearest_neighbours
from dml.search.engines import EXACT, Engine, EngineSettings, open_engine
from dml.search.exact import ExactSearch
from dml.search.growing_files import IndexFolderError
from dml.search.items import Item
from dml.search.opened import Snapshot
from dml.search.store import Store

_BEYOND = 2  # times as many as asked for are had from an engine
_TRIES = 10  # to find rows under the same numbers before and after a search


class Finder:
    """Searches a store as it is at the moment, whichever process changes it.

    Args:
        store: the items and their embeddings.
        settings: of the engine.
        distance: "cosine" or "euclidean".
    """

    def __init__(self, store: Store, settings: EngineSettings, *, distance: str):
        self.store, self.settings, self.distance = store, settings, distance
        self._exact: tuple[Snapshot, ExactSearch] | None = None
        self._engine: tuple[int, Engine] | None = None

    def close(self) -> None:
        """Let go of the engine."""
        if self._engine is not None:
            self._engine[1].close()
            self._engine = None

    def nearest(self, query: Tensor, k: int) -> list[tuple[list[Item], Tensor]]:
        """The k nearest items of each of (Q, D) float32 embeddings, fewer if there are no more, and their similarities
        or distances (≤ k,).

        Raises:
            UserError: there are no items.
        """
        for _ in range(_TRIES):  # another process may give the rows new numbers in between
            try:
                snapshot, exact = self.exact()
                if not len(exact):
                    raise UserError(f"{self.store.folder} holds no photograph yet: `add` some")
                if self.settings.name == EXACT:
                    rows, values = exact.search(query, min(k, len(exact)))
                    pairs = list(zip(rows, values, strict=True))
                else:
                    pairs = self._by_engine(snapshot, query, k)
            except FileNotFoundError:  # of an earlier generation
                self._exact = None
                continue
            found = [(self.store.items_at(rows.tolist(), snapshot), values) for rows, values in pairs]
            if all(items is not None for items, _ in found):
                return [_without_removed(items, values) for items, values in found]
        raise IndexFolderError(f"{self.store.folder} is changed again and again by another process: ask later")

    def exact(self) -> tuple[Snapshot, ExactSearch]:
        """The embeddings as they are now, and exact search among them."""
        if self._exact is None or self._exact[0].change != self.store.change():
            snapshot = self.store.snapshot()
            rows, _ = self.store.rows_and_ids()
            rows = rows[rows < len(snapshot.vectors)]  # others have come since
            self._exact = snapshot, ExactSearch(snapshot.vectors, rows, distance=self.distance)
        return self._exact

    def labelled(self) -> tuple[ExactSearch, Tensor, list[str]]:
        """Exact search; (R,) int64 number of each row's label, −1 for none; and the labels by number."""
        _, exact = self.exact()
        names = list(self.store.labels())
        number = {name: place for place, name in enumerate(names)}
        numbers = torch.full((len(exact.vectors),), -1)
        for item in self.store.every_item():
            if item.label is not None and item.row < len(numbers):
                numbers[item.row] = number[item.label]
        return exact, numbers, names

    def catch_up(self) -> Engine | None:
        """The engine, with all items and no others; None: there is none beside exact search."""
        if self.settings.name == EXACT:
            return None
        change = self.store.change()
        if self._engine is None or self._engine[0] != change:
            self.close()
            engine = self._open()
            if self.store.about()["engine_change"] != change:
                with self.store.alone():
                    change = self.store.change()
                    self._reconcile(engine)
                    self.store.tell(engine_change=change)
            self._engine = change, engine
        return self._engine[1]

    def recall(self, *, k: int = 10, queries: int = 200) -> float:
        """What share of the k nearest photographs the engine finds, of photographs of the index."""
        snapshot, exact = self.exact()
        if self.settings.name == EXACT or not len(exact):
            return 1.0
        k = min(k, len(exact))
        rng = np.random.default_rng(0)
        some = np.sort(rng.choice(exact.rows, min(queries, len(exact)), replace=False))
        query = torch.from_numpy(snapshot.vectors[some])
        truth, _ = exact.search(query, k)
        found = self._by_engine(snapshot, query, k)
        hits = sum(len(np.intersect1d(rows, right)) for (rows, _), right in zip(found, truth.numpy(), strict=True))
        return hits / truth.numel()

    def _open(self) -> Engine:
        return open_engine(self.settings, self.store.folder, dimensions=self.store.dimensions, distance=self.distance)

    def _reconcile(self, engine: Engine) -> None:
        vectors = self.store.snapshot().vectors
        rows, ids = self.store.rows_and_ids()
        there = engine.ids()
        gone = np.setdiff1d(there, ids)
        lacking = np.flatnonzero(~np.isin(ids, there))
        if len(gone):
            engine.remove(gone)
        if len(lacking):
            engine.add(ids[lacking], vectors[rows[lacking]])

    def _by_engine(self, snapshot: Snapshot, query: Tensor, k: int) -> list[tuple[Tensor, Tensor]]:
        """Rows and values of what the engine finds, each query's in exact order."""
        found = self.catch_up().search(query.numpy(), min(_BEYOND * k, len(self.store)))
        pairs = []
        for one, ids in zip(query, found, strict=True):
            items = self.store.items(ids[ids >= 0].tolist())
            rows = np.array(sorted(item.row for item in items if item is not None), dtype=np.int64)
            rows = rows[rows < len(snapshot.vectors)]
            vectors = torch.from_numpy(snapshot.vectors[rows])
            places, values = nearest_neighbours(one[None], vectors, min(k, len(rows)), distance=self.distance)
            pairs.append((torch.from_numpy(rows)[places[0]], values[0]))
        return pairs


def _without_removed(items: list[Item | None], values: Tensor) -> tuple[list[Item], Tensor]:
    there = [place for place, item in enumerate(items) if item is not None]
    return [items[place] for place in there], values[there]
