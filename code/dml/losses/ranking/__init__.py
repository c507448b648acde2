"""Losses of whole lists: in which order every sample of the batch has the others."""
