"""Whether a network is unsure where it errs: rank correlation of uncertainty with retrieval error, and its picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from scipy.stats import spearmanr
from torch import Tensor

from dml.config import EvaluateConfig
from dml.data import ImageRecords, RetrievalData
from dml.errors import UserError
from dml.evaluation.embedding import embed_records
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.plots import plot_certainty
from dml.evaluation.retrieval import QueryErrors, query_errors
from dml.models import Architecture, EmbeddingNet
from dml.structures import ModelOutput


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
    return float(spearmanr(a, b)[0])


@dataclass(frozen=True)
class UncertaintyReport:
    """How unsure a network is of each query, and what came of it.

    Attributes:
        uncertainty: (Q,) float32 ‖V‖² on the CPU.
        errors: of the same queries, on the CPU.
        correlations: see ``uncertainty_correlations``.
    """

    uncertainty: Tensor
    errors: QueryErrors
    correlations: dict[str, float | None]

    def summary(self) -> str:
        """Two lines for people."""
        low, middle, high = self.uncertainty.quantile(torch.tensor([0.0, 0.5, 1.0])).tolist()
        lost, wrong = ("undefined" if rho is None else f"{rho:+.3f}" for rho in self.correlations.values())
        return (
            f"uncertainty ‖V‖² of {len(self.uncertainty)} images: {low:.3g} to {high:.3g}, median {middle:.3g}\n"
            f"rank correlation with retrieval error: {lost} with 1 − AP@R, {wrong} with a wrong nearest neighbour"
        )

    def draw(self, records: ImageRecords, path: Path) -> None:
        """The gallery of the most and the least certain of ``records``, the queries."""
        plot_certainty(records, self.uncertainty.numpy(), self.errors.nearest_is_wrong.numpy(), path)


def require_uncertainty(architecture: Architecture, source: str) -> None:
    """UserError unless the network of the checkpoint ``source`` has uncertainties that differ from image to image."""
    if not architecture.uncertainty:
        raise UserError(
            f"--uncertainty: {source} holds {architecture.describe()}, which has no uncertainty head;"
            " code/train.py --introspective trains one"
        )
    if architecture.uncertainty_norm:
        raise UserError(
            f"--uncertainty: {source} brings all uncertainties to unit length, so that they rank nothing;"
            " train without --uncertainty-norm"
        )


def judge_uncertainty(
    model: EmbeddingNet, evaluation: Evaluation, data: RetrievalData, config: EvaluateConfig, fabric: Fabric
) -> UncertaintyReport:
    """Compare the uncertainties of the queries with how ``evaluation``, of the same network, answered them.

    Costs one more pass over the queries and one more ranking; all processes take part.
    """
    uncertainty = embed_records(
        model, data.query, config, fabric, read=squared_uncertainty, progress="uncertainties"
    ).squeeze(1)
    embeddings = (
        evaluation.query_embeddings,
        evaluation.query_labels,
        evaluation.gallery_embeddings,
        evaluation.gallery_labels,
    )
    on_device = (None if tensor is None else tensor.to(fabric.device) for tensor in embeddings)
    errors = query_errors(*on_device, image_ids=evaluation.image_ids, distance=config.eval_distance)
    errors = QueryErrors(*(values.cpu() for values in errors))
    return UncertaintyReport(uncertainty, errors, uncertainty_correlations(uncertainty, errors))


def squared_uncertainty(output: ModelOutput) -> Tensor:
    """(B, 1) float32 ‖V‖²."""
    return output.uncertainty.float().square().sum(1, keepdim=True)
