"""An index of photographs that says what a new one shows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from dml.api.embedder import Embedder, ImageLike, load
from dml.api.identity import checked, identity_of
from dml.api.photographs import check_finite, embedded
from dml.config import ConfigWarning
from dml.errors import UserError
from dml.places import from_home
from dml.search.answers import VOTERS, Answer, answer_of, similarity_of
from dml.search.calibration import Calibration, calibrate
from dml.search.engines import EngineSettings, settled
from dml.search.finder import Finder
from dml.search.growth import Added, Growth
from dml.search.held_out import judge_held_out, judge_left_out, usual_distance
from dml.search.items import CHANGED, GONE, Photograph, Verification, state_of
from dml.search.photographs import photographs_in
from dml.search.store import Store

COMMITTED, PATIENCE = 8192, 15.0  # photographs, or seconds, after which what was embedded is there for good
PRECISION = 0.95


class Index:
    """Photographs in a folder on the disk, and the network that compares them; made by ``create`` or ``open``.

    Several threads may ask and one may write at a time; several processes, too.

    Attributes:
        folder: where it is.
        store: its items and embeddings.
        finder: what searches them.
    """

    def __init__(self, store: Store, checkpoint: str | Path | Embedder | None = None):
        self.store, self.folder = store, store.folder
        self._about = store.about()
        self._checkpoint = self._about["checkpoint"] if checkpoint is None else checkpoint
        self._embedder: Embedder | None = None
        self.finder = Finder(store, EngineSettings(**self._about["engine"]), distance=self.distance)
        if isinstance(checkpoint, Embedder):
            self._embedder = checked(checkpoint, self._about, self.folder)

    @classmethod
    def create(
        cls, folder: str | Path, checkpoint: str | Path | Embedder, *, engine: EngineSettings | None = None
    ) -> Index:
        """A new index without photographs.

        Args:
            folder: which must not be there yet.
            checkpoint: a run folder or checkpoint, see ``dml.load``, or what that gives.
            engine: what searches; None: exact search.

        Raises:
            UserError: the folder is there, or the checkpoint or the engine cannot be used.
        """
        embedder = checkpoint if isinstance(checkpoint, Embedder) else load(checkpoint)
        about: dict[str, Any] = {**identity_of(embedder), "calibration": None, "scale": 1.0}
        about["engine"], about["engine_change"] = asdict(settled(engine or EngineSettings())), -1
        store = Store.create(from_home(folder), dimensions=embedder.embedding_size, about=about)
        return cls(store, embedder)

    @classmethod
    def open(cls, folder: str | Path, checkpoint: str | Path | Embedder | None = None) -> Index:
        """The index of a folder. Its network is loaded when a photograph is to be embedded.

        Args:
            checkpoint: where its network is now; None: where it was.

        Raises:
            UserError: there is no index; or, when the network is loaded, it is another one.
        """
        return cls(Store(from_home(folder)), checkpoint)

    def close(self) -> None:
        """Let go of its files."""
        self.finder.close()
        self.store.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Photographs."""
        return len(self.store)

    @property
    def embedder(self) -> Embedder:
        """Its network.

        Raises:
            UserError: it is not where it was, or not the one that made the index.
        """
        if self._embedder is None:
            if self._checkpoint is None:
                raise UserError(f"{self.folder} does not say where its network is: name it by --ckpt")
            self._embedder = checked(load(self._checkpoint), self._about, self.folder)
        return self._embedder

    @property
    def distance(self) -> str:
        """ "cosine" or "euclidean"."""
        return self._about["distance"]

    @property
    def calibration(self) -> Calibration | None:
        """The threshold, and how it came about."""
        kept = self.store.about()["calibration"]
        return None if kept is None else Calibration.from_json(kept)

    # Growing and shrinking

    def add(
        self,
        places: str | Path | Iterable[str | Path | Photograph],
        *,
        label: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Growth:
        """Add photographs; nothing is trained.

        One that is there already, under whatever name, is not added again; a file that has changed since takes the
        place of what it was. Every 15 seconds what was embedded is there for good, whatever becomes of the process.

        Args:
            places: files, folders or lists, see ``photographs_in``.
            label: what all of them show.
            progress: is told how many of how many are done.

        Raises:
            UserError: a place that holds no photograph; a network that gives embeddings that are not finite.
        """
        if isinstance(places, str | Path):
            places = [places]
        given = list(places)
        found = [one for one in given if isinstance(one, Photograph)]
        found += photographs_in([one for one in given if not isinstance(one, Photograph)], label=label)
        fresh = [one for one in found if not self._is_known(one)]
        added, faults, done = Added(known=len(found) - len(fresh)), [], len(found) - len(fresh)
        items, vectors, since = [], [], monotonic()
        for some in embedded(self.embedder, fresh):
            items += some.items
            vectors.append(some.vectors)
            faults += some.faults
            done += len(some.items) + len(some.faults)
            if len(items) >= COMMITTED or monotonic() > since + PATIENCE or done == len(found):
                added += self.store.add(items, torch.cat(vectors).numpy())
                items, vectors, since = [], [], monotonic()
            if progress is not None:
                progress(done, len(found))
        self.finder.catch_up()
        return Growth(added, tuple(faults))

    def remove(self, ids: Iterable[int]) -> int:
        """Remove the items of those ids; returns how many there were."""
        removed = self.store.remove(ids)
        self.finder.catch_up()
        return removed

    # Asking

    def query(self, photographs: ImageLike | Sequence[ImageLike], *, top: int = 5) -> list[Answer]:
        """What each photograph shows.

        Args:
            photographs: paths, images of Pillow's and uint8 pixels, see ``Embedder.embed``.
            top: names, and nearest photographs, that an answer has at most.

        Raises:
            UserError: a photograph that cannot be read; an index without photographs.
        """
        return self.query_embeddings(self.embedder.embed(photographs), top=top)

    def query_embeddings(self, embeddings: Tensor, *, top: int = 5) -> list[Answer]:
        """The same, of (Q, D) float32 embeddings of the index's network."""
        about = self.store.about()
        calibration = about["calibration"]
        threshold = None if calibration is None else Calibration.from_json(calibration).threshold
        answers = []
        check_finite(embeddings, ())
        for items, values in self.finder.nearest(embeddings, max(VOTERS, top)):
            near = similarity_of(values, distance=self.distance, scale=about["scale"])
            answers.append(answer_of(items, near, threshold=threshold, top=top))
        return answers

    # Knowing

    def calibrate(self, held_out: Iterable[str | Path] | None = None, *, precision: float = PRECISION) -> Calibration:
        """Find the score from which on a name is believed, and keep it in the index.

        Args:
            held_out: photographs that are not in the index, their products named by folders or a list; products that
                the index does not have among them count as unknown. None: photographs of the index, each asked about
                twice, as if it and as if its product were not there; of products that the network was not trained on,
                if there are any.
            precision: what share of the names that are said shall be right, 0..1.

        Raises:
            UserError: too few photographs with labels.

        Warns:
            ConfigWarning: the network was trained on what it is judged by; the precision cannot be reached.
        """
        exact, numbers, names = self.finder.labelled()
        scale = usual_distance(exact) if self.distance == "euclidean" else 1.0
        if held_out is None:
            judged, how, warning = judge_left_out(
                exact, numbers, names, distance=self.distance, scale=scale, trained=self.embedder.classes
            )
        else:
            asked = [one for one in photographs_in(held_out) if one.label is not None]
            labels, vectors, how, warning = self._embed_held_out(asked)
            known = {name: number for number, name in enumerate(names)}
            of_query = torch.tensor([known.get(label, -2) for label in labels])
            judged = judge_held_out(exact, numbers, vectors, of_query, distance=self.distance, scale=scale)
        if warning:
            warnings.warn(warning, ConfigWarning)
        found = calibrate(judged, precision, items=len(exact), how=how)
        if not found.is_reached:
            told = f"no threshold makes {precision:.0%} of the names right: the best makes {found.chosen.precision:.1%}"
            warnings.warn(told, ConfigWarning)
        self.store.tell(calibration=found.to_json(), scale=scale)
        return found

    def info(self) -> dict[str, Any]:
        """What is to be known of it, as plain values."""
        about = self.store.about()
        labels = self.store.labels()
        engine = {name: value for name, value in about["engine"].items() if value is not None}
        return {
            "photographs": len(self),
            "labels": len(labels),
            "without label": len(self) - sum(labels.values()),
            "dimensions": about["dimensions"],
            "distance": about["distance"],
            "network": about["network"],
            "checkpoint": about["checkpoint"],
            "digest": about["digest"],
            "preprocessing": about["preprocessing"],
            "engine": engine,
            "dead rows": about["rows"] - len(self),
            "calibration": about["calibration"],
        }

    def verify(self) -> Verification:
        """Look whether all files are those that were indexed, and the index is whole; reads all of it."""
        states = [(item, state_of(item)) for item in self.store.every_item()]
        return Verification(
            changed=tuple(item for item, state in states if state == CHANGED),
            gone=tuple(item for item, state in states if state == GONE),
            faults=tuple(self.store.faults()),
        )

    # Within

    def _is_known(self, photograph: Photograph) -> bool:
        """Whether it is an item already and its file looks as it did; then it is not read."""
        item = self.store.item_of(photograph.path)
        if item is None or (photograph.label is not None and photograph.label != item.label):
            return False
        try:
            now = Path(photograph.path).stat()
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (item.size, item.time)

    def _embed_held_out(self, asked: Sequence[Photograph]) -> tuple[list[str], Tensor, str, str | None]:
        """Labels and embeddings of photographs that are not in the index, what they are and what is to be warned of."""
        labels, vectors, left_out = [], [], 0
        for some in embedded(self.embedder, asked):
            new = [place for place, item in enumerate(some.items) if not self.store.has_digest(item.digest)]
            left_out += len(some.items) - len(new)
            if new:
                labels += [some.items[place].label for place in new]
                vectors.append(some.vectors[new])
        if not vectors:
            raise UserError("no photograph to calibrate by: all of them are in the index, unreadable or without label")
        told = f"{left_out:,} photographs are in the index themselves, and are not asked about" if left_out else None
        return labels, torch.cat(vectors), "photographs that are not in the index", told
