"""Engines that search where exact search is outgrown: kept beside the index, made from it, and never the truth."""

from __future__ import annotations

from dml.search.engines.base import Engine, EngineSettings, open_engine, settled

EXACT = "exact"
NAMES = (EXACT, "faiss", "milvus")

__all__ = ["EXACT", "NAMES", "Engine", "EngineSettings", "open_engine", "settled"]
