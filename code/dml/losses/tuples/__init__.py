"""Losses of triplets, or of anchors with sets of positives and negatives, that a miner picks from the batch."""
