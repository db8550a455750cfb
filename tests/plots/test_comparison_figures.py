"""The figures of a comparison of runs."""

from itertools import combinations, pairwise

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
    assert (axes.get_legend_handles_labels()[1][0] == "95% interval") == (count <= 40)
    assert axes.get_xscale() == "linear"
    nothing_leaves(figure)
    width = figure.get_size_inches()[0] * DPI
    assert all(text.get_window_extent().x1 <= width for text in figure.texts)


@pytest.mark.parametrize(
    ("least", "most", "label"),
    [
        (0.4, 1.1, "seconds of a run"),
        (1, 2.9, "seconds of a run"),
        (0.5, 30, "time of a run"),
        (20, 36_000, "time of a run"),
        (1, 36_000, "time of a run"),
        (100, 900, "minutes of a run"),
        (30_000, 36_000, "hours of a run"),
        (0.05, 400_000, "time of a run"),
    ],
)
def test_times_of_any_length_have_ticks_that_differ_and_do_not_overlap(
    least: float, most: float, label: str
) -> None:
    seconds, accuracy = np.geomspace(most, least, 20), np.linspace(0.9, 0.5, 20)
    figure = accuracy_by_seconds(
        seconds, accuracy, np.stack([accuracy, accuracy]), [f"lr={n}" for n in range(20)], "title"
    )
    figure_to_array(figure)
    (axes,) = figure.axes
    assert axes.get_xlabel() == label
    low, high = axes.get_xlim()
    major = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    shown = [text for place, text in major if low <= place <= high]
    assert not [text for text in axes.get_xticklabels(minor=True) if text.get_text()]
    assert 2 <= len(shown) <= 10
    assert len({text.get_text() for text in shown}) == len(shown)
    boxes = [text.get_window_extent() for text in shown]
    for left, right in pairwise(boxes):
        assert left.x1 + 3 < right.x0


def test_names_of_a_heat_map_stand_whole_and_clear_of_its_title() -> None:
    names = ("optimizer.weight_decay, optimizer.momentum", "model.architecture, model.blocks")
    figure = heat_map(np.array([[0.1, 0.2]]), ["a"], ["b", "c"], names, "Mean accuracy")
    figure_to_array(figure)
    assert {*names, "Mean accuracy"} == {text.get_text() for text in figure.texts}
    boxes = [text.get_window_extent() for text in figure.texts]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_a_chart_of_effects_explains_only_marks_that_are_there() -> None:
    means = np.array([0.5, 0.6])
    plain = Effect("lr", ["1", "2"], means, np.full(2, np.nan), "note", False)
    sure = plain._replace(half_widths=np.full(2, 0.01), is_sure=True)
    (_, said) = effect_chart([plain], "title").texts
    assert (
        said.get_text() == "dashed: mean of all values of the setting; too few runs for intervals"
    )
    (_, said) = effect_chart([plain, sure], "title").texts
    assert "bar: 95% interval of the difference from that" in said.get_text()
    assert "blue" in said.get_text()
