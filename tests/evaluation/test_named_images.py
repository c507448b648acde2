"""What a classifier says of images, class by class and image by image."""

from __future__ import annotations

import csv
import io

import numpy as np
import torch

from dml.evaluation.classification import ClassReport, top_confusions, top_probabilities
from dml.evaluation.named_images import NamedImages
from dml.models.classifiers import ClassifierOutput


def test_the_most_probable_classes():
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, 0.0, 0.0]])
    values, classes = top_probabilities(2)(ClassifierOutput(logits, logits)).unbind(1)
    torch.testing.assert_close(values[0], logits[0].softmax(0)[[1, 2]])
    assert classes[0].tolist() == [1, 2] and classes[1, 0] == 0
    assert top_probabilities(9)(ClassifierOutput(logits, logits)).shape == (2, 2, 3), "no more than there are"


def test_a_table_of_images():
    paths, names = ["a, b.jpg", "c.jpg"], ("oak", "elm, wych")
    named = NamedImages(paths, np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.1], [0.625, 0.375]]), names)
    rows = list(csv.reader(io.StringIO(named.to_csv())))
    assert rows[0] == ["path", "class_1", "probability_1", "class_2", "probability_2"]
    assert rows[1:] == [
        ["a, b.jpg", "elm, wych", "0.900000", "oak", "0.100000"],
        ["c.jpg", "oak", "0.625000", "elm, wych", "0.375000"],
    ]
    assert named.lines() == ["a, b.jpg: elm, wych 90.0 %, oak 10.0 %", "c.jpg: oak 62.5 %, elm, wych 37.5 %"]
    assert named.lines(1)[1:] == ["… and 1 more"]


def test_confusions_go_by_images_and_then_by_shares():
    matrix = np.array([[9, 2, 0], [2, 2, 1], [0, 0, 7]])
    assert top_confusions(matrix, 9).tolist() == [[1, 0], [0, 1], [1, 2]]
    assert top_confusions(matrix, 1).tolist() == [[1, 0]]
    assert top_confusions(np.diag([3, 4]), 5).shape == (0, 2)


def test_accuracy_class_by_class():
    labels, predicted = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 1, 1])
    report = ClassReport.of(labels, predicted, ("a", "b", "never tested"))
    rows = list(csv.reader(io.StringIO(report.to_csv())))
    assert rows[0] == ["class", "images", "right", "top_1", "most_taken_for", "times"]
    assert rows[1:] == [
        ["a", "3", "1", "0.3333", "b", "2"],
        ["b", "2", "2", "1.0000", "", "0"],
        ["never tested", "0", "0", "", "", "0"],
    ]
    assert report.summary() == ["right least often: a 1 of 3", "confused most often: a taken for b (2 of 3)"]
    assert ClassReport.of(labels, labels, ("a", "b")).summary() == []
