"""Whether a network is unsure where it errs: rank correlation of uncertainty with retrieval error."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor

from dml.evaluation.retrieval import QueryErrors


def uncertainty_correlations(uncertainty: Tensor, errors: QueryErrors) -> dict[str, float | None]:
    """Spearman's ρ, −1..1, between the uncertainty of queries and the error of their answers.

    * ``uncertainty_vs_lost_precision``: with 1 − AP@R.
    * ``uncertainty_vs_wrong_nearest``: with whether the nearest neighbour is wrong, a miss of R@1.

    Above 0 the network is less sure where it errs, as the paper of IDML claims. Queries without a positive are left
    out. None where it is undefined: all uncertainties, or all errors, are the same.

    Args:
        uncertainty: (Q,).
        errors: of the same queries.
    """
    counted = errors.has_positive
    return {
        "uncertainty_vs_lost_precision": _spearman(uncertainty[counted], errors.lost_precision[counted]),
        "uncertainty_vs_wrong_nearest": _spearman(uncertainty[counted], errors.nearest_is_wrong[counted]),
    }


def _spearman(a: Tensor, b: Tensor) -> float | None:
    a, b = (values.cpu().double().numpy() for values in (a, b))
    if min(len(np.unique(a)), len(np.unique(b))) < 2:
        return None
    return float(spearmanr(a, b).statistic)
