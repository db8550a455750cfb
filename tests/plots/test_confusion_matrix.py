"""The confusion matrix can be read for any number of classes and any script."""

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from fishcnn.plots import confusion_matrix as plots
from fishcnn.plots.confusion_matrix import confusion_matrix
from fishcnn.plots.figure import DPI, INK, figure_to_array
from fishcnn.plots.fonts import missing_glyphs_allowed

LONG = [
    "Labeo rohita, freshwater, adult specimen",
    "Hypophthalmichthys molitrix, silver carp",
    "রুই মাছ বাংলাদেশের জনপ্রিয় মিঠা পানির ম",
    "草鱼中国四大家鱼之一草鱼中国四大家鱼之一草鱼中国四大家鱼之一草鱼中国四大家鱼之一",
]


def test_rows_of_the_matrix_are_normalised_and_an_empty_row_is_grey() -> None:
    matrix = np.array([[3, 1, 0], [0, 0, 0], [10, 20, 70]])
    figure = confusion_matrix(matrix, ["a", "b", "c"], "Test")
    (image,) = figure.axes[0].images
    shares = image.get_array()
    np.testing.assert_allclose(shares[0], [0.75, 0.25, 0])
    np.testing.assert_allclose(shares[2], [0.1, 0.2, 0.7])
    assert np.ma.getmaskarray(shares)[1].all()
    assert (image.norm.vmin, image.norm.vmax) == (0, 1)
    assert to_hex(image.to_rgba(shares)[1, 0]) == plots.NO_IMAGES


def test_counts_stand_in_the_cells_of_their_class() -> None:
    matrix = np.array([[30, 1], [7, 2]])
    axes = confusion_matrix(matrix, ["a", "b"], "Test").axes[0]
    written = {text.get_position(): text for text in axes.texts}
    assert {place: text.get_text() for place, text in written.items()} == {
        (0, 0): "30",
        (1, 0): "1",  # true a, predicted b: to the right of 30
        (0, 1): "7",
        (1, 1): "2",
    }
    assert written[0, 0].get_color() == "white"
    assert written[1, 0].get_color() == INK
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize("names", ["short", "long"])
@pytest.mark.parametrize("count", [2, 20, 100])
def test_names_of_2_20_and_100_classes_are_legible_and_apart(count: int, names: str) -> None:
    matrix = np.random.default_rng(count).integers(0, 50, (count, count))
    classes = [f"Fish {i}" for i in range(count)]
    if names == "long":
        classes = [f"{i} {LONG[i % 4]}" for i in range(count)]
    figure = confusion_matrix(matrix, classes, "Test")
    axes = figure.axes[0]
    with missing_glyphs_allowed():
        figure.draw_without_rendering()
    for labels, axis in ((axes.get_yticklabels(), 1), (axes.get_xticklabels(), 0)):
        # Point sizes in pixels: 10 is the least that reads well.
        assert min(label.get_fontsize() for label in labels) * DPI / 72 >= 10
        assert len(labels) == count
        with missing_glyphs_allowed():
            extents = np.array([label.get_window_extent().extents for label in labels])
        middles = np.sort((extents[:, axis] + extents[:, axis + 2]) / 2)
        assert np.diff(middles).min() >= 1.2 * labels[0].get_fontsize() * DPI / 72
        assert (extents[:, :2] >= 0).all()
        assert (extents[:, 2:] <= figure.bbox.extents[2:]).all()
    assert bool(axes.texts) == (count <= 30)


def test_counts_that_would_not_fit_are_left_out() -> None:
    twenty = [str(i) for i in range(20)]
    assert confusion_matrix(np.full((20, 20), 999), twenty, "Test").axes[0].texts
    assert not confusion_matrix(np.full((20, 20), 99_999_999), twenty, "Test").axes[0].texts


def test_very_many_classes_do_not_take_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "MAX_MATRIX_SIDE", 400)
    axes = confusion_matrix(np.zeros((40, 40), int), ["x"] * 40, "Test").axes[0]
    assert axes.bbox.width == pytest.approx(400)
    assert axes.get_yticklabels()[0].get_fontsize() * DPI / 72 < 10


def test_a_matrix_of_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\) cannot be drawn for 3 classes"):
        confusion_matrix(np.eye(2, dtype=int), ["a", "b", "c"], "Test")


def test_one_mistake_among_twenty_is_seen_in_a_matrix_of_100_classes() -> None:
    matrix = 20 * np.eye(100, dtype=np.int64)
    matrix[3, 50], matrix[3, 3] = 1, 19
    (image,) = confusion_matrix(matrix, [f"Fish {k}" for k in range(100)], "Test").axes[0].images
    colours = image.to_rgba(image.get_array())[..., :3]
    assert np.abs(colours[3, 50] - colours[3, 51]).max() > 0.12
    assert np.abs(colours[3, 51] - to_rgb("white")).max() < 0.05


def test_letters_that_no_font_has_and_dollar_signs_are_drawn_without_a_warning() -> None:
    # Warnings are errors here, and no font has a letter of a private use area.
    names = ["\ue123", "$x_{$y$", "a$b$c"]
    figure_to_array(confusion_matrix(np.eye(3, dtype=int), names, "\ue124 $\\frac$"))
