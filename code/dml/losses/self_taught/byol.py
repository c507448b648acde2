"""Bootstrap your own latent (Grill et al., NeurIPS 2020)."""

from __future__ import annotations

from torch import Tensor, nn

from dml.losses.self_taught.spec import SelfTaughtSpec
from dml.losses.self_taught.views import paired_views, predictor
from dml.normalize import l2_normalize_clamped


class BYOLLoss(nn.Module):
    """The student's view, through a predictor, is to meet the teacher's next view of the image (eq. 2).

    ``2 − 2 q·z`` with q the predictor's output and z the teacher's embedding, both at unit length; mean over rows.
    NOTE: the paper adds the two directions of two views; here they are averaged, as all rows are.
    The embedding head of the network is the projection, as in the published comparison, where it is searched too.

    Args:
        embedding_size: D.
        predictor_width: of the predictor's hidden layer; published: twice the number of the backbone's features.
    """

    def __init__(self, *, embedding_size: int, predictor_width: int):
        super().__init__()
        self.predictor = predictor(embedding_size, predictor_width)

    def forward(self, student: Tensor, teacher: Tensor, *, num_views: int) -> Tensor:
        """Scalar loss in 0..4 of (V·B, D) embeddings of both networks, view by view; the teacher gets no gradient.

        Raises:
            ValueError: fewer than two views.
        """
        predictions, targets = paired_views(self.predictor(student), teacher.detach(), num_views)
        cosines = (l2_normalize_clamped(predictions) * l2_normalize_clamped(targets)).sum(1)
        return 2 - 2 * cosines.mean()


SPEC = SelfTaughtSpec(name="byol", build=BYOLLoss, head="mlp_bn")
