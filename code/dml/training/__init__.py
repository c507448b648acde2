"""Optimisation, checkpoints, and the one loop that drives every method."""
