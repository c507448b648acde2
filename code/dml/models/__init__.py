"""Embedding networks: ``create_model`` builds one, ``load_model_checkpoint`` reads one back."""

from __future__ import annotations

from dml.models.architecture import Architecture
from dml.models.backbones import BACKBONES
from dml.models.convert import load_model_checkpoint
from dml.models.create import create_model, model_from_config
from dml.models.embedding_net import EmbeddingNet

__all__ = ["BACKBONES", "Architecture", "EmbeddingNet", "create_model", "load_model_checkpoint", "model_from_config"]
