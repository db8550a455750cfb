"""Figures become arrays."""

import numpy as np
from matplotlib.figure import Figure

from fishcnn.plots.figure import figure_to_array


def test_an_array_has_the_size_and_the_colours_of_the_figure() -> None:
    figure = Figure(figsize=(2, 1), dpi=100, facecolor="#ff8000")
    array = figure_to_array(figure)
    assert (array.shape, array.dtype) == ((100, 200, 3), np.uint8)
    assert (array == [255, 128, 0]).all()
