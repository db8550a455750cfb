"""Charts of whether an explanation is to be trusted: arrays in, matplotlib Figure out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fishcnn.plots.curves import TRAIN, VAL
from fishcnn.plots.figure import CAPTION_SIZE, DPI, FAINT, INK, TITLE_SIZE, dress

INCHES = (11.0, 3.9)
MOST_NAMES = 12  # layers named on an axis; the names of more would touch

Floats = npt.NDArray[np.floating]

_COLOURS = (TRAIN, VAL, FAINT)
_DASHES = ("-", "--", ":")
_HEADING: dict[str, Any] = {"loc": "left", "fontsize": CAPTION_SIZE + 1, "color": INK}


def trust_curves(
    deletion: Mapping[str, Floats],
    insertion: Mapping[str, Floats],
    layers: Sequence[str],
    correlation: Floats,
    title: str,
) -> Figure:
    """Draw deletion and insertion curves, and the randomisation test by depth.

    Args:
        deletion: Up to three kinds of map by name, mean confidence in [0, 1] over equal steps of
            area; the first is the one in question.
        insertion: Likewise, of the same names.
        layers: D names, from the head down.
        correlation: (D,), rank correlation with the trained network's maps once everything down to
            this layer is random, in [-1, 1]. Without any, that chart is left out.
        title: Headline.
    """
    charts = 3 if len(layers) else 2
    figure = Figure(figsize=(INCHES[0] * charts / 3, INCHES[1]), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, charts)
    figure.suptitle(title, x=0.01, ha="left", fontsize=TITLE_SIZE, color=INK, parse_math=False)
    for chart, curves, name, better in (
        (axes[0], deletion, "deletion: taken away", "lower is better"),
        (axes[1], insertion, "insertion: put back", "higher is better"),
    ):
        for (kind, curve), colour, dash in zip(curves.items(), _COLOURS, _DASHES, strict=False):
            share = np.linspace(0, 1, len(curve))
            area = float(np.trapezoid(curve, share))
            label = f"{kind}, area {area:.2f}"
            chart.plot(share, curve, color=colour, linestyle=dash, linewidth=1.5, label=label)
        chart.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="mean confidence")
        chart.set_xlabel(f"share of the picture {name.split(': ')[1]}, most marked first")
        chart.set_title(f"{name.split(':')[0]} ({better})", **_HEADING)
        chart.xaxis.set_major_formatter(PercentFormatter(1))
        chart.yaxis.set_major_formatter(PercentFormatter(1))
        chart.legend(fontsize=CAPTION_SIZE, frameon=False, labelcolor=INK)
        dress(chart)
    if len(layers):
        _randomisation(axes[2], layers, correlation)
    return figure


def _randomisation(axes: Axes, layers: Sequence[str], correlation: Floats) -> None:
    """Draw the fall from 1, the trained network's own maps."""
    values = np.concatenate([[1.0], correlation])
    names = ["trained", *layers]
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.plot(range(len(values)), values, "o-", color=TRAIN, linewidth=1.5, markersize=3)
    every = -(-len(names) // MOST_NAMES)
    shown = range(0, len(names), every)
    axes.set_xticks(shown, [names[i] for i in shown], rotation=45, ha="right", parse_math=False)
    axes.set(ylim=(-1.02, 1.02), ylabel="rank correlation with the trained maps")
    axes.set_xlabel("random from the head down to this layer")
    axes.set_title("randomisation (should fall to 0)", **_HEADING)
    dress(axes)
