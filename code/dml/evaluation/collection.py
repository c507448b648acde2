"""Images without classes, embedded: an archive to search in, and pictures of what lies near to what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dml.data import ImageRecords
from dml.evaluation.plots import plot_similar, tsne_page
from dml.evaluation.spread import collapse
from dml.neighbours import nearest_neighbours
from dml.writing import replacing

QUERIES, NEIGHBOURS, POINTS = 8, 8, 2000


@dataclass(frozen=True, eq=False)
class Collection:
    """A collection of images that can be searched.

    Attributes:
        images: the N images, of one class that says nothing.
        embeddings: (N, D) float32 on the CPU, in the images' order.
        distance: ``cosine`` or ``euclidean``, what ranks neighbours.
        seed: of the choice of images to show, and of t-SNE.
    """

    images: ImageRecords
    embeddings: Tensor
    distance: str
    seed: int

    @property
    def collapse(self) -> str | None:
        """What is to be said of embeddings that are all but equal; None of others."""
        return collapse(self.embeddings, distance=self.distance)

    def save(self, path: Path) -> None:
        """An .npz file: embeddings (N, D) float32, paths (N,)."""
        with replacing(path) as file:
            np.savez(file, embeddings=self.embeddings.numpy(), paths=np.array(self.images.paths))

    def draw_gallery(self, path: Path) -> None:
        """A .png of 8 random images, each with its 8 nearest neighbours."""
        queries = self._choose(QUERIES)
        rows = torch.from_numpy(queries)
        number = min(NEIGHBOURS, len(self.embeddings) - 1)
        indices, values = nearest_neighbours(
            self.embeddings[rows], self.embeddings, number, distance=self.distance, exclude=rows
        )
        name = "similarity" if self.distance == "cosine" else "distance"
        plot_similar(self.images, queries, indices.numpy(), values.numpy(), path, value_name=name)

    def draw_page(self, path: Path) -> None:
        """A t-SNE page (.html) of at most 2,000 random images. UserError for fewer than 5 images."""
        points = self._choose(POINTS)
        tsne_page(
            self.embeddings[torch.from_numpy(points)],
            self.images.take(points),
            path,
            title="t-SNE of the images' embeddings",
            seed=self.seed,
        )

    def _choose(self, number: int) -> np.ndarray:
        """Positions of ``number`` random images, or of all; fewer are the first of more."""
        return np.random.default_rng(self.seed).permutation(len(self.embeddings))[:number]
