"""Miners by name: which tuples of a batch a loss is given."""

from dml.miners.contract import Miner, PairSets, Triplets

__all__ = ["Miner", "PairSets", "Triplets"]
