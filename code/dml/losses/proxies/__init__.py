"""Losses of a vector for each class, its proxy: a batch is compared with those, in O(B·C·D)."""
