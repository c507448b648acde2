"""Exact nearest neighbours in bounded memory, on CPU or GPU."""

from dml.neighbours.item_sets import ItemSets
from dml.neighbours.scores import DISTANCES, SimilarityScores
from dml.neighbours.search import nearest_neighbours
from dml.neighbours.topk import grouped_topk, ordered_topk

__all__ = ["DISTANCES", "ItemSets", "SimilarityScores", "grouped_topk", "nearest_neighbours", "ordered_topk"]
