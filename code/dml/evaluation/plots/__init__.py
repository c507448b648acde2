"""Pictures: the curves of a run, a gallery of neighbours, a t-SNE page."""

from dml.evaluation.plots.curves import plot_curves
from dml.evaluation.plots.gallery import plot_gallery
from dml.evaluation.plots.tsne import tsne_page, whole_classes

__all__ = ["plot_curves", "plot_gallery", "tsne_page", "whole_classes"]
