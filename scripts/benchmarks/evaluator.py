"""The evaluator at the size of Stanford Online Products' test half, and on a gallery of a million."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.measure import Options, Row, cpu_seconds, interleaved_seconds, peak_memory_gb
from dml.evaluation.retrieval import retrieval_metrics

NUM_IMAGES, NUM_CLASSES, DIMENSIONS = 60_502, 11_316, 512
MILLION, NUM_QUERIES = 1_000_000, 1_000
CHUNK_SIZE = 1024
REPEATS = 3
HARD_SPREAD = 5.0  # of a class, likewise, at which many queries have no positive among their nearest 60
SPREAD = 2.0  # of a class in units of the classes' own, at which some neighbours are right and most wrong


def rows(options: Options) -> Iterator[Row]:
    """Time against the bare similarity product over the same chunks; memory beyond the embeddings."""
    if options.device.type == "cpu":
        yield from _large_classes()
    embeddings, labels = sop_like(options.device)
    buffer = torch.empty(CHUNK_SIZE, NUM_IMAGES, device=options.device)

    def evaluate() -> None:
        retrieve(embeddings, labels, chunk_size=CHUNK_SIZE)

    def multiply() -> None:
        for chunk in embeddings.split(CHUNK_SIZE):
            torch.mm(chunk, embeddings.T, out=buffer[: len(chunk)])

    if options.device.type == "cpu":
        seconds, yardstick = cpu_seconds(evaluate, multiply, repeats=2)
        yield Row.cost("evaluator: 60,502 × 512, CPU", seconds, "s", yardstick=yardstick, limit=1.1)
    # The warm-up would take as long as a repeat and change nothing at durations of many seconds.
    seconds, yardstick = interleaved_seconds(
        evaluate, multiply, repeats=REPEATS, device=options.device, warm_up=options.device.type == "cuda"
    )
    yield Row.cost("evaluator: 60,502 × 512", seconds, "s", yardstick=yardstick, limit=2.0)
    memory = peak_memory_gb(sop_like, _evaluate_sop_like, options)
    yield Row.cost("evaluator: memory beyond embeddings", memory, "GB", limit=1.5)
    memory = peak_memory_gb(million, _evaluate_million, options)
    yield Row.cost("evaluator: memory, gallery of 1,000,000", memory, "GB", limit=1.5)
    if options.full:
        equal = torch.ones_like(embeddings)
        seconds, yardstick = interleaved_seconds(
            lambda: retrieve(equal, labels), multiply, repeats=1, device=options.device, warm_up=False
        )
        yield Row.cost("evaluator: all embeddings equal", seconds, "s", yardstick=yardstick)


def _large_classes() -> Iterator[Row]:
    """Processor time of one thread for 12,000 images in 200 classes of 60, lists alone and with recall."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200).repeat_interleave(60)
    embeddings = torch.randn(200, DIMENSIONS, generator=generator)[labels]
    embeddings = normalize(embeddings + HARD_SPREAD * torch.randn(len(labels), DIMENSIONS, generator=generator))
    buffer = torch.empty(CHUNK_SIZE, len(labels))

    def multiply() -> None:
        for chunk in embeddings.split(CHUNK_SIZE):
            torch.mm(chunk, embeddings.T, out=buffer[: len(chunk)])

    def evaluate(*metrics: str) -> None:
        retrieval_metrics(embeddings, labels, recall_ks=(1, 10, 100, 1000), metrics=metrics)

    at_r = ("map_at_r", "r_precision", "precision_at_1")
    lists, everything, yardstick = cpu_seconds(
        lambda: evaluate(*at_r), lambda: evaluate("recall", *at_r), multiply, repeats=5
    )
    torch.set_num_threads(threads)
    yield Row.cost("evaluator: 12,000 × 512, metrics at R, CPU", lists, "s", yardstick=yardstick, limit=1.3)
    yield Row.cost("evaluator: the same and recall, CPU", everything, "s", yardstick=yardstick, limit=1.35)


def retrieve(embeddings: Tensor, labels: Tensor, *, chunk_size: int | None = None) -> dict[str, float]:
    """Recall@1, 10, 100, 1000, MAP@R and R-precision of a set searched in itself."""
    return retrieval_metrics(
        embeddings,
        labels,
        recall_ks=(1, 10, 100, 1000),
        metrics=("recall", "map_at_r", "r_precision"),
        chunk_size=chunk_size,
    )


def clustered(
    num: int, num_classes: int, device: torch.device, *, dimensions: int = DIMENSIONS
) -> tuple[Tensor, Tensor]:
    """Unit embeddings (num, dimensions) in classes, and their labels; needs no memory beyond them."""
    generator = torch.Generator(device=device).manual_seed(0)
    labels = torch.randint(num_classes, (num,), generator=generator, device=device)
    embeddings = torch.empty(num, dimensions, device=device).normal_(generator=generator).mul_(SPREAD)
    centres = torch.empty(num_classes, dimensions, device=device).normal_(generator=generator)
    for chunk, chunk_labels in zip(embeddings.split(4096), labels.split(4096), strict=True):
        chunk += centres[chunk_labels]
        chunk /= chunk.norm(dim=1, keepdim=True)
    return embeddings, labels


def sop_like(device: torch.device) -> tuple[Tensor, Tensor]:
    """A set of the size of the test half of Stanford Online Products."""
    return clustered(NUM_IMAGES, NUM_CLASSES, device)


def million(device: torch.device) -> tuple[Tensor, Tensor]:
    """A gallery of a million."""
    return clustered(MILLION, NUM_CLASSES, device)


def _evaluate_sop_like(data: tuple[Tensor, Tensor]) -> None:
    retrieve(*data)


def _evaluate_million(data: tuple[Tensor, Tensor]) -> None:
    gallery, labels = data
    query, query_labels = gallery[:NUM_QUERIES], labels[:NUM_QUERIES]
    retrieval_metrics(query, query_labels, gallery, labels, recall_ks=(1, 10, 100, 1000))
