"""The chart of a learning rate range test."""

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fishcnn.plots.figure import DPI, FAINT, TRAIN, dress

_INCHES = (6.0, 3.8)


def range_test_curve(
    rates: npt.ArrayLike, losses: npt.ArrayLike, suggestion: float | None
) -> Figure:
    """Draw the training loss against the learning rate, and mark the suggested one.

    Both are (N,); the rates rise. What has exploded is cut off.
    """
    rates, losses = np.asarray(rates), np.asarray(losses, dtype=np.float64)
    figure = Figure(figsize=_INCHES, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.semilogx(rates, losses, color=TRAIN, linewidth=1.5, label="training loss (running mean)")
    if suggestion is not None:
        label = f"falls fastest: {suggestion:.1e}"
        axes.axvline(suggestion, color=FAINT, linewidth=0.8, linestyle="--", label=label)
    low, first = np.nanmin(losses), losses[0]
    axes.set(xlabel="learning rate", ylim=(low - 0.1 * (first - low) - 0.01, 1.5 * first))
    dress(axes, "Learning rate range test", legend=True)
    return figure
