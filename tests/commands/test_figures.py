"""Figures become files with the same pixels, quietly."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from fishcnn.commands.figures import save_figure
from fishcnn.plots.figure import figure_to_array


def test_a_saved_figure_has_the_pixels_of_its_array_and_replaces_an_older_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "figure.png"
    path.write_text("an older file")
    figure = Figure(figsize=(2, 1), dpi=100)
    figure.subplots().plot([1, 3, 2])
    save_figure(figure, path)
    with Image.open(path) as saved:
        assert (saved.format, saved.size) == ("PNG", (200, 100))
        np.testing.assert_array_equal(np.asarray(saved), figure_to_array(figure))


def test_letters_that_no_font_has_are_saved_without_a_warning(tmp_path: Path) -> None:
    # Warnings are errors here. DejaVu Sans, matplotlib's default, has no Bengali.
    figure = Figure(figsize=(2, 1))
    figure.suptitle("রুই", family="DejaVu Sans")
    save_figure(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").is_file()
