"""The curves of a training."""

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fishcnn.plots.figure import DPI, FAINT, TRAIN, VAL, dress

CURVE_INCHES = (8.0, 3.5)
SMOOTHING = 30  # windows of the running mean in a whole training
MAX_WINDOW = 500  # batches: the time it takes grows with the window
MAX_MARKERS = 40  # points of a line that stand apart


def loss_per_iteration(
    steps: npt.ArrayLike, losses: npt.ArrayLike, title: str = "Training loss"
) -> Figure:
    """Draw the loss of every batch as a thin line and their running mean as a thick one.

    Both are (N,); NaN leaves a gap.
    """
    steps, losses = np.asarray(steps), np.asarray(losses, dtype=np.float64)
    figure = Figure(figsize=CURVE_INCHES, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    window = min(len(losses), max(5, min(len(losses) // SMOOTHING, MAX_WINDOW)))
    marker = "." if len(losses) <= MAX_MARKERS else ""
    axes.plot(steps, losses, color=TRAIN, alpha=0.35, linewidth=0.5, marker=marker, label="batch")
    mean = _running_mean(losses, window)
    axes.plot(steps, mean, color=TRAIN, linewidth=1.5, label=f"mean of {window}")
    axes.set_xlabel("iteration")
    dress(axes, title, legend=True)
    return figure


def _running_mean(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """Centred mean of the finite values in a window, which is cut off at both ends."""
    finite = np.isfinite(values)
    if not finite.any():
        return values
    box = np.ones(window)
    number = np.convolve(finite, box, mode="same")
    total = np.convolve(np.where(finite, values, 0.0), box, mode="same")
    mean: npt.NDArray[np.float64] = np.where(finite, total / np.maximum(number, 1), np.nan)
    return mean


def curves(
    epochs: npt.ArrayLike,
    train_loss: npt.ArrayLike,
    val_loss: npt.ArrayLike,
    train_acc: npt.ArrayLike,
    val_acc: npt.ArrayLike,
    best_epoch: int | None = None,
) -> Figure:
    """Draw accuracy and loss against the epoch, side by side.

    All are (N,), accuracies in [0, 1]; NaN where there is none, as in epochs without validation.
    A dashed line marks the epoch whose weights are kept.
    """
    figure = Figure(figsize=CURVE_INCHES, dpi=DPI, layout="constrained")
    accuracy, loss = figure.subplots(1, 2)
    numbers = np.asarray(epochs)
    for axes, title, percent, train, val in (
        (accuracy, "Accuracy", "y", train_acc, val_acc),
        (loss, "Loss", "", train_loss, val_loss),
    ):
        for values, name, colour in ((train, "training", TRAIN), (val, "validation", VAL)):
            values = np.asarray(values, dtype=np.float64)
            known = np.isfinite(values)
            # A single epoch has no line, only its marker.
            marker = "o" if known.sum() <= MAX_MARKERS else ""
            axes.plot(
                numbers[known],
                values[known],
                color=colour,
                label=name,
                linewidth=1.5,
                marker=marker,
                markersize=2.5,
            )
        if best_epoch is not None:
            label = f"lowest validation loss: epoch {best_epoch}"
            axes.axvline(best_epoch, color=FAINT, linewidth=0.8, linestyle="--", label=label)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        dress(axes, title, legend=True, percent=percent)
    return figure
