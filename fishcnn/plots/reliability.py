"""Charts of how far an evaluated network's confidence can be relied upon."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fishcnn.metrics.calibration import Reliability
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.metrics.selective_prediction import Kept, SelectiveCurve
from fishcnn.plots.figure import DPI, FAINT, INK, TRAIN, VAL, dress

CHART_INCHES = (5.0, 4.2)


def reliability_diagram(bins: Reliability, title: str) -> Figure:
    """Draw accuracy against confidence, and below it how many images each bin has.

    The bar of a bin is its accuracy, with Wilson's 95% interval as whiskers, and the line across it
    its mean confidence, where the bar of a calibrated network ends.
    """
    figure = Figure(figsize=CHART_INCHES, dpi=DPI, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = bins.count > 0
    middles, width = (bins.edges[:-1] + bins.edges[1:]) / 2, bins.edges[1]
    accuracy = bins.accuracy[filled]
    pairs = zip(bins.hits[filled].tolist(), bins.count[filled].tolist(), strict=True)
    intervals = np.array([wilson_interval(hits, count) for hits, count in pairs]).reshape(-1, 2)
    upper.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--")
    bars = {"width": 0.92 * width, "color": TRAIN, "alpha": 0.75, "label": "accuracy"}
    upper.bar(middles[filled], accuracy, **bars)
    upper.errorbar(
        middles[filled],
        accuracy,
        yerr=np.abs(intervals.T - accuracy),
        fmt="none",
        ecolor=INK,
        elinewidth=0.8,
        capsize=2,
    )
    left, right = (middles[filled] + sign * 0.46 * width for sign in (-1, 1))
    upper.hlines(
        bins.confidence[filled], left, right, color=VAL, linewidth=2, label="mean confidence"
    )
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    lower.bar(middles, bins.count, width=0.92 * width, color=FAINT, alpha=0.6)
    lower.set(xlabel="confidence", ylabel="images")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    dress(upper, title, legend=True, percent="y")
    dress(lower, percent="x")
    figure.align_ylabels()
    return figure


def accuracy_by_confidence(curve: SelectiveCurve, chosen: Kept | None, title: str) -> Figure:
    """Draw accuracy and coverage above each confidence, and mark a threshold if one is chosen."""
    figure = Figure(figsize=CHART_INCHES, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    # From the end that keeps nothing down to the one that keeps all.
    thresholds = np.concatenate([curve.threshold, [0.0]])
    coverage = np.concatenate([curve.coverage, [1.0]])
    accuracy = np.concatenate([curve.accuracy, curve.accuracy[-1:]])
    style: dict[str, Any] = {"drawstyle": "steps-pre", "linewidth": 1.5}
    axes.plot(thresholds[::-1], accuracy[::-1], color=TRAIN, label="accuracy of these", **style)
    axes.plot(thresholds[::-1], coverage[::-1], color=VAL, label="share of all images", **style)
    if chosen is not None:
        axes.axvline(
            chosen.threshold,
            color=FAINT,
            linewidth=0.8,
            linestyle="--",
            label=f"threshold {chosen.shown_threshold}",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="images with at least this confidence")
    dress(axes, title, legend=True, percent="xy")
    return figure
