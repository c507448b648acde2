"""Losses of all pairs of the batch, of those that a miner picks, or of the batch and a memory."""
