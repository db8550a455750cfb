import numpy as np

from fishcnn.plots.faithfulness_curves import MOST_NAMES, faithfulness_curves
from fishcnn.plots.figure import figure_to_array

FALLING = {"map": np.linspace(1, 0, 17), "random map": np.full(17, 0.5), "centre": np.ones(17)}


def test_the_legend_gives_each_curves_area() -> None:
    figure = faithfulness_curves(FALLING, FALLING, ["head"], np.array([0.1]), "Title")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["map, area 0.50", "random map, area 0.50", "centre, area 1.00"]
    line = figure.axes[0].lines[0]
    assert line.get_xdata()[[0, -1]].tolist() == [0, 1]
    assert figure_to_array(figure).shape[1] > 1200


def test_randomisation_begins_at_the_trained_network_and_names_few_of_many_layers() -> None:
    layers = [f"layer{i}.conv" for i in range(60)]
    figure = faithfulness_curves(FALLING, FALLING, layers, np.linspace(0.5, 0, 60), "Title")
    axes = figure.axes[2]
    values = axes.lines[1].get_ydata()
    assert values[0] == 1
    assert np.allclose(values[1:], np.linspace(0.5, 0, 60))
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names[0] == "trained"
    assert len(names) <= MOST_NAMES


def test_without_a_randomisation_there_are_two_charts() -> None:
    figure = faithfulness_curves(FALLING, FALLING, [], np.array([]), "Title")
    assert len(figure.axes) == 2
