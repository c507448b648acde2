"""Milvus: embedded in this process (Milvus Lite, a file), or a server or cluster by its address, by one client."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dml.errors import UserError

TOKEN = "MILVUS_TOKEN"
LINKS, BUILD_WIDTH, SEARCH_WIDTH = 32, 200, 128  # of HNSW: M, efConstruction, ef
_SENT = 1000  # vectors, or ids, at a time
_METRICS = {"cosine": "COSINE", "euclidean": "L2"}


class MilvusEngine:
    """See ``Engine``. Its collection is made at first use.

    Args:
        uri: a file that ends in .db, or an address with ``://``.
        collection: its name there.
        folder: of the index, for messages.
        dimensions: D.
        distance: "cosine" or "euclidean".

    Raises:
        UserError: the client is not installed, or the server cannot be reached.
    """

    def __init__(self, uri: str, collection: str, folder: Path, *, dimensions: int, distance: str):
        try:
            with _quietly():
                import pymilvus
        except ImportError:
            raise UserError("--engine milvus needs its client: `pip install '.[milvus]'` installs it") from None
        self._pymilvus, self.uri, self.collection, self.folder = pymilvus, uri, collection, folder
        if is_file(uri) and not uri.endswith(".db"):
            raise UserError(f"--uri {uri}: a file of Milvus Lite's ends in .db; a server's address has a ://")
        token = os.environ.get(TOKEN)
        with self._telling(), _quietly():
            self._client = pymilvus.MilvusClient(uri, **({"token": token} if token else {}))
            if self._client.has_collection(collection):
                self._client.load_collection(collection)
            else:
                self._create(dimensions, _METRICS[distance])

    def ids(self) -> np.ndarray:
        """See ``Engine``."""
        found: list[int] = []
        with self._telling(), _quietly():
            pages = self._client.query_iterator(
                self.collection, filter="id >= 0", output_fields=["id"], batch_size=_SENT, consistency_level="Strong"
            )
            while page := pages.next():
                found += [row["id"] for row in page]
            pages.close()
        return np.array(found, dtype=np.int64)

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """See ``Engine``."""
        with self._telling():
            for start in range(0, len(ids), _SENT):
                part = slice(start, start + _SENT)
                rows = zip(ids[part].tolist(), np.asarray(vectors[part]).tolist(), strict=True)
                self._client.upsert(self.collection, [{"id": number, "vector": vector} for number, vector in rows])

    def remove(self, ids: np.ndarray) -> None:
        """See ``Engine``."""
        with self._telling():
            for start in range(0, len(ids), _SENT):
                self._client.delete(self.collection, ids=ids[start : start + _SENT].tolist())

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        """See ``Engine``."""
        found = np.full((len(query), k), -1, np.int64)
        with self._telling():
            answers = self._client.search(
                self.collection,
                data=query.tolist(),
                limit=k,
                search_params={"params": {"ef": max(SEARCH_WIDTH, 2 * k)}},
                consistency_level="Strong",
            )
        for row, hits in zip(found, answers, strict=True):
            row[: len(hits)] = [hit["id"] for hit in hits]
        return found

    def close(self) -> None:
        """See ``Engine``."""
        self._client.close()

    def _create(self, dimensions: int, metric: str) -> None:
        kinds = self._pymilvus.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", kinds.INT64, is_primary=True)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=dimensions)
        how = self._client.prepare_index_params()
        graph = {"M": LINKS, "efConstruction": BUILD_WIDTH}
        how.add_index("vector", index_type="HNSW", metric_type=metric, params=graph)
        self._client.create_collection(self.collection, schema=schema, index_params=how)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Within it what goes wrong with Milvus is a UserError that names it."""
        try:
            yield
        except (self._pymilvus.MilvusException, OSError, RuntimeError) as error:
            hint = "is it in use by another process?" if is_file(self.uri) else f"is {TOKEN} set, if it asks for one?"
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(f"--engine milvus --uri {self.uri}: {reason} ({hint})") from error


def is_file(uri: str) -> bool:
    """Whether ``uri`` is a file of Milvus Lite's, and no address."""
    return "://" not in uri


@contextmanager
def _quietly() -> Iterator[Any]:
    """Without what the client says of itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
