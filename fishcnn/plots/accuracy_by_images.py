"""The chart of what more training images bring."""

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from fishcnn.plots.figure import DPI, TRAIN, VAL, dress

_INCHES = (6.0, 3.8)

Floats = npt.NDArray[np.float64]


def accuracy_by_images(
    sizes: Floats,
    accuracy: Floats,
    interval: Floats,
    ahead: tuple[Floats, Floats, Floats] | None,
    title: str,
) -> Figure:
    """Draw accuracy against the number of training images, and where the curve leads.

    Args:
        sizes: (F,), numbers of training images, rising.
        accuracy: (F,) in [0, 1], of held-out images.
        interval: (2, F), lower and upper ends.
        ahead: sizes (G,), accuracies (G,) and their interval (2, G) by a law that was fitted; None
            where there is none.
        title: headline.
    """
    figure = Figure(figsize=_INCHES, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.fill_between(sizes, *interval, color=TRAIN, alpha=0.2, linewidth=0)
    label = "measured, with 95% interval"
    axes.plot(sizes, accuracy, "o-", color=TRAIN, linewidth=1.5, markersize=3, label=label)
    if ahead is not None:
        more, expected, band = ahead
        axes.fill_between(more, *band, color=VAL, alpha=0.15, linewidth=0)
        label = "expected by a power law"
        axes.plot(more, expected, "--", color=VAL, linewidth=1.5, label=label)
        axes.plot(more[-1:], expected[-1:], "o", color=VAL, markersize=3)
    axes.set(xlabel="training images", ylabel="accuracy of held-out images")
    axes.set_xlim(0, None)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    dress(axes, title, legend=True, percent="y")
    return figure
