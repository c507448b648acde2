"""What is said of fine-tuning when a run begins."""

from __future__ import annotations

from dml.config import TrainConfig
from dml.methods.base import Method


def finetuning_told(config: TrainConfig, method: Method) -> list[str]:
    """Lines for people: what is frozen, the rate of every group of parameters, what is averaged; none of a run that
    changes all weights alike."""
    asked, lines = config.finetuning, []
    if asked.freeze is not None:
        total = sum(parameter.numel() for parameter in method.model.backbone.parameters())
        trained = sum(parameter.numel() for parameter in method.model.backbone_parameters())
        lines.append(f"frozen: {total - trained:,} of {total:,} parameters of the backbone (--freeze {asked.freeze})")
    if asked.freeze is not None or asked.layer_decay is not None:
        rates = (
            f"{group.name} {config.optim.lr * group.lr_scale:.3g}"
            for group in method.param_groups()
            if group.parameters
        )
        lines.append(f"learning rates: {', '.join(rates)}")
    if asked.weight_ema is not None:
        lines.append(f"the moving average of all weights is evaluated and kept (--weight-ema {asked.weight_ema:g})")
    if asked.cache_features:
        views = "without augmentation" if asked.cache_views is None else f"in {asked.cache_views} random crops each"
        lines.append(
            f"features of the images are computed once, of training images {views}; then head and loss train on them"
        )
    return lines
