"""Charts of how faithful heat maps are to the network that they explain."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fishcnn.plots.figure import CAPTION_SIZE, DPI, FAINT, INK, TITLE_SIZE, TRAIN, VAL, dress

INCHES = (11.0, 3.9)
MOST_NAMES = 12  # layers named on an axis; the names of more would touch

Floats = npt.NDArray[np.floating]

_COLOURS = (TRAIN, VAL, FAINT)
_DASHES = ("-", "--", ":")
_HEADING_SIZE = CAPTION_SIZE + 1


def faithfulness_curves(
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
    for chart, curves, heading, done in (
        (axes[0], deletion, "deletion (lower is better)", "taken away"),
        (axes[1], insertion, "insertion (higher is better)", "put back"),
    ):
        for (kind, curve), colour, dash in zip(curves.items(), _COLOURS, _DASHES, strict=False):
            share = np.linspace(0, 1, len(curve))
            area = float(np.trapezoid(curve, share))
            label = f"{kind}, area {area:.2f}"
            chart.plot(share, curve, color=colour, linestyle=dash, linewidth=1.5, label=label)
        chart.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="mean confidence")
        chart.set_xlabel(f"share of the image {done}, most marked first")
        dress(chart, heading, size=_HEADING_SIZE, legend=True, percent="xy")
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
    dress(axes, "randomisation (should fall to 0)", size=_HEADING_SIZE)
