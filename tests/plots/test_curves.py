"""Curves say in pixels, colours and words what their arrays say."""

import sys

import numpy as np
import pytest

from fishcnn.plots.curves import curves, loss_per_iteration
from fishcnn.plots.figure import figure_to_array


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
        assert list(lines["lowest validation loss: epoch 3"].get_xdata()) == [3, 3]
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


def test_a_title_that_no_font_has_is_drawn_without_a_warning() -> None:
    figure_to_array(loss_per_iteration([1, 2], [1, 2], "\ue123"))  # warnings are errors here


def test_pyplot_keeps_no_figure_alive() -> None:
    figure_to_array(loss_per_iteration([1, 2], [1, 2]))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
