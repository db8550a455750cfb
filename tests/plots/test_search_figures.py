"""The figures of a search."""

import numpy as np
import pytest

from fishcnn.plots.figure import VAL, figure_to_array
from fishcnn.plots.search_figures import importance, parallel_coordinates, search_history


def test_the_most_important_setting_stands_on_top() -> None:
    figure = importance(["a", "b", "c"], np.array([0.2, 0.7, 0.1]), "title")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "a", "b"]
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2, 0.7]  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["10%", "20%", "70%"]


def test_the_history_follows_the_lowest_loss_of_finished_trials() -> None:
    losses = np.array([np.nan, 2.0, 0.5, 3.0, 1.0])
    pruned = np.array([True, False, True, False, False])
    (axes,) = search_history(np.arange(5.0), losses, pruned).axes
    lines = {line.get_label(): line for line in axes.lines}
    assert np.asarray(lines["lowest"].get_ydata()).tolist() == [2.0, 2.0, 2.0, 1.0]
    assert np.asarray(lines["finished"].get_xdata()).tolist() == [1, 3, 4]
    low, high = axes.get_ylim()
    assert low < 0.5
    assert high > 2.0


@pytest.mark.parametrize("losses", [[1.0], [np.nan, np.nan]])
def test_a_history_of_one_or_none_is_drawn(losses: list[float]) -> None:
    figure = search_history(
        np.arange(float(len(losses))), np.array(losses), np.zeros(len(losses), np.bool_)
    )
    assert figure_to_array(figure).shape[2] == 3


def test_the_best_trial_is_the_last_line_and_stands_out() -> None:
    places = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    scales = [([0.0, 1.0], ["1", "2"]), ([0.0, 1.0], ["$a$", "b" * 200])]
    figure = parallel_coordinates(
        ["model.blocks", "augment"], places, scales, np.array([2.0, 1.0, 3.0]), "title"
    )
    (axes,) = figure.axes
    drawn = [line for line in axes.lines if len(np.asarray(line.get_ydata())) == 2][:3]
    assert np.asarray(drawn[-1].get_ydata()).tolist() == [0.5, 0.5]
    assert drawn[-1].get_color() == VAL
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["blocks\nmodel", "augment"]
    assert figure_to_array(figure).size


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([1.0], ["best"]),
        ([1.0, 2.0], ["others", "best"]),
        ([1.0, 1.1, *np.linspace(2, 3, 8)], ["others", "best fifth", "best"]),
    ],
)
def test_a_legend_names_only_lines_that_are_there(losses: list[float], said: list[str]) -> None:
    places = np.linspace(0, 1, len(losses))[:, None]
    scale = ([0.0, 1.0], ["1", "2"])
    figure = parallel_coordinates(["model.blocks"], places, [scale], np.array(losses), "title")
    assert figure.axes[0].get_legend_handles_labels()[1] == said
    # A line of a single setting is a point.
    assert figure.axes[0].lines[0].get_marker() == "o"


def test_every_trial_of_a_history_is_seen_however_high_its_loss() -> None:
    losses, pruned = np.array([900.0, 0.7, np.nan]), np.array([True, False, False])
    (axes,) = search_history(np.arange(3.0), losses, pruned).axes
    lines = {line.get_label(): line for line in axes.lines}
    low, high = axes.get_ylim()
    assert high < 1
    assert low < float(np.asarray(lines["pruned"].get_ydata())[0]) < high
    assert "higher ones are drawn at the edge" in axes.get_ylabel()
