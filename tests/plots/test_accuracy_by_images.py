"""The chart of what more training images bring."""

import numpy as np
import pytest

from fishcnn.plots.accuracy_by_images import accuracy_by_images

SIZES = np.array([57.0, 285, 570])
ACCURACY = np.array([0.3, 0.5, 0.6])
BAND = np.stack([ACCURACY - 0.04, ACCURACY + 0.04])


def test_what_was_measured_is_drawn_and_where_it_leads() -> None:
    ahead = np.array([570.0, 1140])
    law = (ahead, np.array([0.6, 0.67]), np.array([[0.56, 0.61], [0.64, 0.71]]))
    figure = accuracy_by_images(SIZES, ACCURACY, BAND, law, "Accuracy")
    (axes,) = figure.axes
    measured, expected, end = axes.get_lines()
    assert measured.get_xydata() == pytest.approx(np.stack([SIZES, ACCURACY], 1))
    assert expected.get_xydata() == pytest.approx(np.array([[570, 0.6], [1140, 0.67]]))
    assert end.get_xydata() == pytest.approx(np.array([[1140, 0.67]]))
    bands = [band.get_datalim(axes.transData) for band in axes.collections]
    assert [band.y0 for band in bands] == pytest.approx([0.26, 0.56])
    assert [band.y1 for band in bands] == pytest.approx([0.64, 0.71])
    assert axes.get_xlim()[0] == 0
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["measured, with 95% interval", "expected by a power law"]


def test_where_nothing_can_be_said_the_curve_ends_where_it_was_measured() -> None:
    figure = accuracy_by_images(SIZES, ACCURACY, BAND, None, "Accuracy")
    (axes,) = figure.axes
    assert len(axes.get_lines()) == len(axes.collections) == 1
    assert axes.get_xlim()[1] < 700
