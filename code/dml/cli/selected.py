"""The metrics of a training, and the one that chooses its best epoch, by name, before any image is read."""

from __future__ import annotations

from dml.config import TrainConfig
from dml.data import DATASETS
from dml.evaluation.metrics import SPECTRUM_KEY, metric_keys
from dml.metric_names import CLASSIFICATION_METRICS
from dml.training.selection import require_computed


def check_metrics(config: TrainConfig) -> None:
    """UserError for a metric that there is not, or that no evaluation of this run computes and that is to choose.

    Where images have no classes nothing is evaluated, and a metric is refused for that.
    """
    if config.self_taught is not None and config.self_taught.unlabelled:
        return
    if config.classification is not None:
        names = list(CLASSIFICATION_METRICS)
    else:
        keys = metric_keys(config.evaluation.metrics, DATASETS[config.data.dataset].recall_ks)
        names = [key for key in keys if key != SPECTRUM_KEY]
    require_computed(config.evaluation, names)
