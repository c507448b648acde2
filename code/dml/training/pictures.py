"""The pictures of a run, from its record and its last evaluation."""

from __future__ import annotations

from pathlib import Path

from dml.data import RetrievalData
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.plots import plot_curves, plot_gallery, tsne_page
from dml.neighbours import nearest_neighbours
from dml.tracking import METRICS_FILE
