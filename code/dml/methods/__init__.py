"""Training methods: what one step is. The loop that drives them is ``dml.training.trainer``."""

from dml.methods.base import Method, ParamGroup
from dml.methods.supervised import SupervisedMethod

__all__ = ["Method", "ParamGroup", "SupervisedMethod"]
