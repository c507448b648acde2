"""Exact nearest neighbours in bounded memory, on CPU or GPU."""

from dml.neighbours.blocks import ScoreBlock, score_blocks
from dml.neighbours.item_sets import ItemSets
from dml.neighbours.order import settle_hits
from dml.neighbours.scores import DISTANCES, SimilarityScores
from dml.neighbours.search import nearest_neighbours
from dml.neighbours.topk import ordered_topk

__all__ = [
    "DISTANCES",
    "ItemSets",
    "ScoreBlock",
    "SimilarityScores",
    "nearest_neighbours",
    "ordered_topk",
    "score_blocks",
    "settle_hits",
]
