"""Charts of an evaluation say what their arrays say."""

import numpy as np
import pytest

from fishcnn.metrics.calibration import reliability
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.metrics.selective_prediction import keep, selective_curve
from fishcnn.plots.figure import figure_to_array
from fishcnn.plots.reliability import accuracy_by_confidence, reliability_diagram

CONFIDENCE = np.array([0.95, 0.9, 0.92, 0.3, 0.35])
RIGHT = np.array([True, True, False, False, True])


def test_bars_are_accuracies_and_counts_and_whiskers_are_intervals() -> None:
    figure = reliability_diagram(reliability(CONFIDENCE, RIGHT, bins=4), "Reliability")
    upper, lower = figure.axes
    heights = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in upper.patches}
    assert heights == {0.375: 0.5, 0.875: pytest.approx(2 / 3)}
    assert [bar.get_height() for bar in lower.patches] == [0, 2, 0, 3]
    (whiskers,) = upper.containers[1].lines[2]
    low, high = whiskers.get_segments()[1][:, 1]
    assert (low, high) == pytest.approx(wilson_interval(2, 3))
    # The mean confidence of each bin, at its own height.
    marks = [mark[0, 1] for mark in upper.collections[-1].get_segments()]
    assert marks == pytest.approx([0.325, np.mean([0.95, 0.9, 0.92])])
    assert figure_to_array(figure).shape[2] == 3


def test_a_chart_of_images_that_are_all_alike_can_be_drawn() -> None:
    confidence, right = np.ones(3), np.ones(3, dtype=bool)
    figure_to_array(reliability_diagram(reliability(confidence, right), "Reliability"))
    figure_to_array(accuracy_by_confidence(selective_curve(confidence, right), None, "Accuracy"))


def test_the_steps_keep_images_of_just_that_confidence() -> None:
    chosen = keep(CONFIDENCE, RIGHT, 0.9)
    figure = accuracy_by_confidence(selective_curve(CONFIDENCE, RIGHT), chosen, "Accuracy")
    accuracy, coverage, line = figure.axes[0].lines
    np.testing.assert_allclose(accuracy.get_xdata(), [0, 0.3, 0.35, 0.9, 0.92, 0.95])
    # Each value holds from the confidence before, exclusive, to its own, inclusive.
    assert accuracy.get_drawstyle() == coverage.get_drawstyle() == "steps-pre"
    np.testing.assert_allclose(accuracy.get_ydata(), [0.6, 0.6, 0.75, 2 / 3, 0.5, 1])
    np.testing.assert_allclose(coverage.get_ydata(), [1, 1, 0.8, 0.6, 0.4, 0.2])
    assert line.get_xdata() == [0.9, 0.9]
