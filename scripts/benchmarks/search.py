"""An index of 100,000 photographs: a question, growing, memory, the page."""

from __future__ import annotations

import http.client
import io
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.evaluator import clustered
from benchmarks.measure import Options, Row, interleaved_seconds, peak_memory_gb
from dml.api.embedder import Embedder, Preprocessing
from dml.api.index import COMMITTED, Index
from dml.models import create_model
from dml.page.server import PageServer
from dml.search.exact import ExactSearch
from dml.search.items import NewItem
from dml.search.store import Store

NUM_ITEMS, NUM_CLASSES, DIMENSIONS, VOTERS = 100_000, 1_000, 128, 100
NUM_ADDED, THUMBNAIL_BYTES = 10_000, 6_000
NUM_LARGE = 800_000  # items whose embeddings are several chunks
PHOTO = (500, 375)
QUERY_LIMIT, ADD_LIMIT, MEMORY_LIMIT_GB, PAGE_LIMIT_S = 1.5, 1.0, 0.1, 0.15
REPEATS, ADDINGS = 15, 3


def rows(options: Options) -> Iterator[Row]:
    """Seconds against the bare product, against writing the bytes three times, and the bounds of memory and page."""
    cpu = torch.device("cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        embedder = network()
        vectors = clustered(NUM_ITEMS, NUM_CLASSES, cpu, dimensions=DIMENSIONS)[0]
        with Index.create(folder / "x.index", embedder) as index:
            fill(index.store, vectors.numpy())
            photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*PHOTO[::-1], 3), dtype=np.uint8))
            yield from _questions(index, vectors, photo, cpu)
            yield _page(index, photo, cpu)
        yield from _adding(folder, vectors[:NUM_ADDED].numpy(), cpu)
    memory = peak_memory_gb(large, ask, options)
    yield Row.cost(f"search: memory of a query in {NUM_LARGE:,}", memory, "GB", limit=MEMORY_LIMIT_GB)


def _questions(index: Index, vectors: Tensor, photo: Image.Image, device: torch.device) -> Iterator[Row]:
    snapshot, exact = index.finder.exact()
    query, gallery = vectors[:1] + 0.1, torch.from_numpy(snapshot.vectors)
    seconds, product, asking, embedding = interleaved_seconds(
        lambda: exact.search(query, VOTERS),
        lambda: torch.mv(gallery, query[0]),
        lambda: index.query(photo),
        lambda: index.embedder.embed(photo),
        repeats=REPEATS,
        device=device,
    )
    size = f"{NUM_ITEMS:,} × {DIMENSIONS}"
    yield Row.cost(f"search: {VOTERS} nearest of {size}", seconds, "s", yardstick=product, limit=QUERY_LIMIT)
    yardstick = product + embedding
    yield Row.cost("search: a photograph's names", asking, "s", yardstick=yardstick, limit=QUERY_LIMIT)


def _page(index: Index, photo: Image.Image, device: torch.device) -> Row:
    file = io.BytesIO()
    photo.save(file, "JPEG")
    with PageServer(index, port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def post() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
            connection.request("POST", "/ask", file.getvalue(), {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            assert answer.status == 200

        seconds, embedding = interleaved_seconds(
            post, lambda: index.embedder.embed(photo), repeats=REPEATS, device=device
        )
        server.shutdown()
    return Row.cost("search: the page's answer beyond embedding", seconds - embedding, "s", limit=PAGE_LIMIT_S)


def _adding(folder: Path, vectors: np.ndarray, device: torch.device) -> Iterator[Row]:
    """Time and processor time.

    The yardstick writes into new files, as adding does: the pages of files that were just cut to nothing are had again
    for a fraction of the time.
    """
    added = items(len(vectors), os.urandom(THUMBNAIL_BYTES))
    content = vectors.tobytes() + b"".join(item.thumbnail + item.digest + os.fsencode(item.path) for item in added)
    stores = [Store.create(folder / f"{n}.index", dimensions=DIMENSIONS, about={}) for n in range(ADDINGS + 1)]
    names = iter(range(3 * len(stores)))
    spent: dict[str, list[float]] = {"add": [], "write": []}

    def add() -> None:
        start, store = time.process_time(), stores.pop()
        for first in range(0, len(added), COMMITTED):
            part = slice(first, first + COMMITTED)
            store.add(added[part], vectors[part])
        store.close()
        spent["add"].append(time.process_time() - start)

    def write_thrice() -> None:
        start = time.process_time()
        for _ in range(3):
            with (folder / f"{next(names)}.bytes").open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        spent["write"].append(time.process_time() - start)

    seconds, yardstick = interleaved_seconds(add, write_thrice, repeats=ADDINGS, device=device)
    name = f"search: add {NUM_ADDED:,}, {len(content) / 1e6:.0f} MB written thrice"
    yield Row.cost(name, seconds, "s", yardstick=yardstick, limit=ADD_LIMIT)
    cpu, cpu_yardstick = (median(times[1:]) for times in spent.values())
    yield Row.cost("search: the same in processor time", cpu, "s", yardstick=cpu_yardstick)


def network() -> Embedder:
    """An untrained one."""
    torch.manual_seed(0)
    model = create_model("resnet18", embedding_size=DIMENSIONS, pretrained=False)
    return Embedder(model, Preprocessing(256, 224, False, True, None), device="cpu")


def items(number: int, thumbnail: bytes) -> list[NewItem]:
    """Photographs that are not there."""
    return [
        NewItem(f"/photos/{n % NUM_CLASSES}/{n}.jpg", str(n % NUM_CLASSES), n, n, sha256(b"%d" % n).digest(), thumbnail)
        for n in range(number)
    ]


def fill(store: Store, vectors: np.ndarray) -> None:
    """Add an item for each of the (N, D) embeddings."""
    store.add(items(len(vectors), b"jpeg"), vectors)


def large(_: torch.device) -> tuple[ExactSearch, Path]:
    """An index of which every row is mapped, ready to be asked."""
    with tempfile.NamedTemporaryFile(delete=False) as file:
        for _ in range(8):
            np.random.default_rng(0).normal(size=(NUM_LARGE // 8, DIMENSIONS)).astype(np.float32).tofile(file)
    mapped = np.memmap(file.name, np.float32, "c", shape=(NUM_LARGE, DIMENSIONS))
    return ExactSearch(mapped, np.arange(NUM_LARGE), distance="cosine"), Path(file.name)


def ask(prepared: tuple[ExactSearch, Path]) -> None:
    """A few questions."""
    exact, file = prepared
    for _ in range(3):
        exact.search(torch.randn(1, DIMENSIONS), VOTERS)
    file.unlink()
