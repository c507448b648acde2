"""Pictures: the curves of a run, galleries of neighbours and of certainty, a t-SNE page."""

from dml.evaluation.plots.certainty import plot_certainty
from dml.evaluation.plots.curves import plot_curves
from dml.evaluation.plots.gallery import plot_gallery
from dml.evaluation.plots.similar import plot_similar
from dml.evaluation.plots.tsne import tsne_page, whole_classes

__all__ = ["plot_certainty", "plot_curves", "plot_gallery", "plot_similar", "tsne_page", "whole_classes"]
