"""The figures of a comparison of runs."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fishcnn.plots.accuracy_by_seconds import accuracy_by_seconds
from fishcnn.plots.effect_chart import Effect, effect_chart
from fishcnn.plots.figure import DPI, FAINT, TRAIN, figure_to_array
from fishcnn.plots.heat_map import heat_map

LONG = "eine_sehr_lange_einstellung_mit_$zeichen$_und_ümläuten=" + "x" * 60


def nothing_leaves(figure: Figure) -> None:
    """Every text is within the figure."""
    shape = figure_to_array(figure).shape
    texts = [*figure.texts]
    for axes in figure.axes:
        texts += [*axes.texts, *axes.get_yticklabels()]
    for text in texts:
        box = text.get_window_extent()
        if text.get_text():
            assert box.x0 >= 0, text
            assert box.x1 <= shape[1] + 1, text


@pytest.mark.parametrize(("settings", "levels"), [(1, 2), (6, 4), (30, 40)])
def test_every_setting_has_its_means_on_one_scale(settings: int, levels: int) -> None:
    generator = np.random.default_rng(0)
    effects = [
        Effect(
            f"{LONG}{number}",
            [f"{LONG}{level}" for level in range(levels)],
            generator.uniform(0.5, 0.8, levels),
            np.full(levels, 0.01 if number else np.nan),
            "10.0 percentage points from lowest to highest mean",
            number % 2 == 1,
        )
        for number in range(settings)
    ]
    figure = effect_chart(effects, "Which setting mattered")
    assert len(figure.axes) == min(settings, 12)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    for axes, effect in zip(figure.axes, effects, strict=False):
        points = axes.get_lines()[1]
        shown = min(levels, 16)
        assert points.get_xdata() == pytest.approx(effect.means[:shown])
        assert len(axes.get_yticklabels()) == shown
        assert points.get_color() == (TRAIN if effect.is_sure else FAINT)
    nothing_leaves(figure)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (5, 4), (3, 30)])
def test_the_heat_map_says_the_number_of_each_pair_that_was_run(rows: int, columns: int) -> None:
    means = np.linspace(0.2, 0.9, rows * columns).reshape(rows, columns)
    means[0, 1] = np.nan
    names = ([LONG] * rows, [f"{LONG}{n}" for n in range(columns)])
    figure = heat_map(means, *names, ("model.blocks", LONG), "Mean accuracy")
    (axes,) = figure.axes
    shown = min(columns, 16)
    assert len(axes.texts) == rows * shown - 1
    assert axes.texts[0].get_text() == "20.0%"
    nothing_leaves(figure)


@pytest.mark.parametrize("count", [2, 20, 100])
def test_what_no_other_beats_in_both_is_named(count: int) -> None:
    generator = np.random.default_rng(1)
    accuracy = np.sort(generator.uniform(0.4, 0.9, count))[::-1]
    seconds = generator.uniform(10, 100, count)
    seconds[-1], seconds[0] = 5, 99
    intervals = np.stack([accuracy - 0.05, accuracy + 0.05])
    labels = [f"{LONG}{number}" for number in range(count)]
    figure = accuracy_by_seconds(seconds, accuracy, intervals, labels, "Accuracy and time")
    (axes,) = figure.axes
    front = [
        place
        for place in range(count)
        if not ((seconds < seconds[place]) & (accuracy >= accuracy[place])).any()
    ]
    assert sorted(int(text.get_text()) - 1 for text in axes.texts) == front
    assert figure.texts[0].get_text().startswith("1 eine_sehr")
    assert len(axes.collections) == (count <= 40)
    assert axes.get_xscale() == "linear"
    nothing_leaves(figure)
    width = figure.get_size_inches()[0] * DPI
    assert all(text.get_window_extent().x1 <= width for text in figure.texts)
