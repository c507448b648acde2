"""Losses that look at no labels and have no teacher: each is for the company of another loss."""
