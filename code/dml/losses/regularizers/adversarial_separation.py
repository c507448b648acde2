"""Adversarial separation: features of several heads made to tell nothing of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.criterion import BatchCriterion
from dml.losses.spec import LossSpec
from dml.normalize import l2_normalize_clamped, widen
from dml.options import Option
from dml.ranges import at_least


def reverse_gradient(values: Tensor) -> Tensor:
    """The same values, whose gradient is reversed (Ganin & Lempitsky, ICML 2015): 2x − x, the first x a constant."""
    return 2 * values.detach() - values


class AdversarialSeparation(nn.Module):
    """Decorrelation of features by regressors that play against the network (Milbich et al., ECCV 2020; METHODS §17).

    For a direction from s to t with weight ω, a regressor tries to tell f̂_t = n_clamp(f_t) from f̂_s:
    ``L −= ω · mean_i mean_d (f̂_t · n_clamp(regressor(f̂_s)))²``, all products coordinate by coordinate. Regressors
    minimise L; features get the reversed gradient, so they make the regressors' task harder. O(B·D·h) per direction.

    Args:
        feature_size: D of every head.
        directions: (s, t) names of heads.
        weights: ω of each direction.
        hidden: h, units of a regressor's hidden layer.

    Raises:
        ValueError: numbers of directions and weights that differ, or a direction given twice.
    """

    def __init__(
        self, *, feature_size: int, directions: Sequence[tuple[str, str]], weights: Sequence[float], hidden: int = 512
    ):
        super().__init__()
        if len(directions) != len(weights) or len(set(directions)) != len(directions):
            raise ValueError(f"each direction needs one weight: got directions {directions}, weights {weights}")
        self.directions, self.weights = tuple(directions), tuple(weights)
        self.regressors = nn.ModuleList(
            nn.Sequential(nn.Linear(feature_size, hidden), nn.ReLU(), nn.Linear(hidden, feature_size))
            for _ in self.directions
        )

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss, in −Σ ω .. 0, of (B, D) features by the name of their head."""
        reversed_units = {
            name: l2_normalize_clamped(reverse_gradient(widen(values))) for name, values in features.items()
        }
        total = 0
        for (source, target), weight, regressor in zip(self.directions, self.weights, self.regressors, strict=True):
            guess = l2_normalize_clamped(regressor(reversed_units[source]))
            total = total - weight * (reversed_units[target] * guess).square().mean()
        return total


class AdversarialSeparationLoss(BatchCriterion):
    """Adversarial separation of the equal parts of one embedding, each part told from none of the others.

    NOTE: the published criterion separates heads of a network that has several, and its options are not among the
    published ones. Here the heads are the ``parts`` of the embedding, one after the other; from each other part to
    the first there is a direction, all of one weight. Labels do not matter: alone it learns no metric.
    It takes no similarity: it is about coordinates.

    Args:
        parts: of equal size, at least 2.
        hidden: units of a regressor's hidden layer.
        weight: ω.
        num_classes, embedding_size: see ``Criterion``.

    Raises:
        UserError: an embedding that cannot be cut so.
    """

    def __init__(
        self, *, num_classes: int, embedding_size: int, parts: int = 2, hidden: int = 512, weight: float = 1.0
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size)
        if parts < 2 or embedding_size % parts:
            raise UserError(
                f"--loss_adversarial_separation_parts must be at least 2 and divide --embedding-size {embedding_size},"
                f" got {parts}"
            )
        self.names = [str(part) for part in range(parts)]
        self.separation = AdversarialSeparation(
            feature_size=embedding_size // parts,
            directions=[(name, self.names[0]) for name in self.names[1:]],
            weights=[weight] * (parts - 1),
            hidden=hidden,
        )

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings of any norm: each part is normalised."""
        return self.separation(dict(zip(self.names, embeddings.chunk(len(self.names), dim=1), strict=True)))


SPEC = LossSpec(
    name="adversarial_separation",
    build=AdversarialSeparationLoss,
    recipe="lsd",
    options={
        "loss_adversarial_separation_parts": Option(
            "parts", "equal parts that the embedding is cut into", within=at_least(2)
        ),
        "loss_adversarial_separation_hidden": Option("hidden", "hidden units of each regressor", within=at_least(1)),
        "loss_adversarial_separation_weight": Option("weight", "weight of each direction", within=at_least(0)),
    },
    has_proxies=False,
    lr_scale=1.0,
    advice="adversarial_separation does not look at labels: alone it learns no metric",
)
