"""Charts say in pixels, colours and words what their arrays say."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fishcnn.plots import curves as plots
from fishcnn.plots.curves import confusion_matrix, curves, loss_per_iteration
from fishcnn.plots.figure import DPI, INK, figure_to_array
from fishcnn.plots.fonts import BASE_FAMILY, missing_glyphs_allowed

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
    assert to_hex(image.to_rgba(shares)[1, 0]) == plots.NO_PICTURES


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


def test_the_loss_of_every_batch_and_its_running_mean_are_drawn() -> None:
    losses = np.random.default_rng(1).normal(2, 0.5, 300)
    raw, mean = loss_per_iteration(np.arange(300) * 2, losses).axes[0].lines
    np.testing.assert_array_equal(raw.get_ydata(), losses)
    np.testing.assert_array_equal(mean.get_xdata(), np.arange(300) * 2)
    assert raw.get_linewidth() < mean.get_linewidth()
    assert mean.get_label() == "mean of 10"
    assert mean.get_ydata()[150] == pytest.approx(losses[145:155].mean())
    assert mean.get_ydata()[0] == pytest.approx(losses[:5].mean())
    assert np.std(mean.get_ydata()) < 0.5 * np.std(losses)


def test_a_loss_that_is_not_a_number_leaves_a_gap_and_does_not_spread() -> None:
    losses = np.ones(60)
    losses[[20, 21]] = np.nan, np.inf
    figure = loss_per_iteration(range(60), losses)
    mean = figure.axes[0].lines[1].get_ydata()
    assert np.flatnonzero(np.isnan(mean)).tolist() == [20, 21]
    np.testing.assert_allclose(np.delete(mean, [20, 21]), 1)
    figure_to_array(figure)


@pytest.mark.parametrize("losses", [[], [2.5], [np.nan, np.nan]])
def test_a_training_that_has_hardly_begun_can_be_drawn(losses: list[float]) -> None:
    figure_to_array(loss_per_iteration(range(len(losses)), losses))


def test_curves_join_the_epochs_that_were_validated() -> None:
    nan = np.nan
    figure = curves([0, 1, 2, 3], [4, 3, 2, 1], [nan, 3, nan, 2], [0.1, 0.2, 0.3, 0.4],
                    [nan, 0.2, nan, 0.3], best_epoch=3)  # fmt: skip
    accuracy, loss = figure.axes
    for axes, expected in ((accuracy, [0.2, 0.3]), (loss, [3, 2])):
        lines = {line.get_label(): line for line in axes.lines}
        assert lines["validation"].get_xdata().tolist() == [1, 3]
        assert lines["validation"].get_ydata().tolist() == expected
        assert lines["training"].get_xdata().tolist() == [0, 1, 2, 3]
        assert list(lines["best epoch: 3"].get_xdata()) == [3, 3]
    figure_to_array(figure)
    assert "%" in accuracy.get_yticklabels()[0].get_text()
    assert "%" not in loss.get_yticklabels()[0].get_text()


def test_a_single_epoch_without_validation_is_a_marker() -> None:
    figure = curves([0], [2.1], [np.nan], [0.2], [np.nan])
    figure_to_array(figure)
    for axes in figure.axes:
        assert axes.lines[0].get_marker() == "o"
        assert len(axes.lines) == 2
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [0]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: confusion_matrix(np.eye(2, dtype=int), ["রুই", "ꡀ"], "鲤鱼"),
        lambda: loss_per_iteration([1, 2], [1, 2], "ꡀ"),
    ],
)
def test_missing_glyphs_do_not_flood_the_user_with_warnings(
    draw: Callable[[], Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Warnings are errors here. DejaVu Sans alone has none of these letters.
    monkeypatch.setattr(plots, "label_fonts", lambda labels: [BASE_FAMILY])
    figure_to_array(draw())


def test_dollar_signs_in_names_are_no_formula() -> None:
    figure_to_array(confusion_matrix(np.eye(2, dtype=int), ["$x_{$y$", "a$b$c"], "$\\frac$"))


def test_pyplot_keeps_no_figure_alive() -> None:
    figure_to_array(confusion_matrix(np.eye(2, dtype=int), ["a", "b"], "Test"))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
