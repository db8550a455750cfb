"""Charts of training and of its mistakes: arrays in, matplotlib Figure out."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fishcnn.plots.figure import (
    CAPTION_SIZE,
    DPI,
    FAINT,
    INK,
    LINE_HEIGHT,
    MARGIN,
    NOTE_SIZE,
    TITLE_SIZE,
    headline,
)
from fishcnn.plots.fonts import BASE_FAMILY, label_fonts, shorten, text_width

GRID, NO_PICTURES = "#dcdcdc", "#ececec"
TRAIN, VAL = "#1f6fb4", "#d9720a"  # blue and orange, which colour-blind people can tell apart
MIN_SIZE = 4.5  # points, 8 pixels: smaller digits cannot be read

MATRIX_SIDE = 750  # pixels, which 8 to 50 classes share
MIN_CELL, MAX_CELL = 15, 100  # pixels: room for one line of a name; no giant squares for 2 classes
MAX_MATRIX_SIDE = 4000  # pixels: a thousand classes must not take a gigabyte
MAX_NAME = 300  # pixels, some 40 letters
MIN_MATRIX_WIDTH = 480  # pixels: room for the headline
MAX_COUNTED = 30  # classes: beyond that the numbers are too small to be read

CURVE_INCHES = (8.0, 3.5)
SMOOTHING = 30  # windows of the running mean in a whole training
MAX_WINDOW = 500  # batches: the time it takes grows with the window
MAX_MARKERS = 40  # points of a line that stand apart


def confusion_matrix(matrix: npt.NDArray[np.integer], classes: Sequence[str], title: str) -> Figure:
    """Draw how often each class was taken for each other one.

    The colour of a cell is its share of the row, so that a rare class is as visible as a frequent
    one; the number in it is the count. The figure grows with the number of classes, and beyond 30
    of them the numbers are left out.

    Args:
        matrix: (K, K) counts; rows are the true classes, columns the predicted ones. A row without
            pictures is grey.
        classes: K class names.
        title: Headline.

    Raises:
        ValueError: If the matrix is not K by K.
    """
    count = len(classes)
    if not count or matrix.shape != (count, count):
        raise ValueError(f"A matrix of {matrix.shape} cannot be drawn for {count} classes.")
    totals = matrix.sum(axis=1, keepdims=True)
    empty = np.broadcast_to(totals == 0, matrix.shape)
    shares = np.ma.masked_array(matrix / np.maximum(totals, 1), empty)

    families = label_fonts([*classes, title])
    cell = int(min(max(MATRIX_SIDE / count, MIN_CELL), MAX_CELL, MAX_MATRIX_SIDE / count))
    size = min(CAPTION_SIZE, cell * 0.72 * 72 / DPI)  # of names: lines are 1.4 times as high
    names = [shorten(name, MAX_NAME, size, families, DPI) for name in classes]
    name_width = round(max(text_width(name, size, families, DPI) for name in names))
    turned = name_width > 0.9 * cell

    side = cell * count
    left = MARGIN + LINE_HEIGHT + name_width + 14
    right, top = 90, MARGIN + 34  # the colour bar, the headline
    bottom = (name_width if turned else LINE_HEIGHT) + LINE_HEIGHT + 14 + MARGIN
    width, height = max(left + side + right, MIN_MATRIX_WIDTH), top + side + bottom
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    heading, title_size = headline(title, width - 2 * MARGIN, families)
    style: dict[str, Any] = {"family": families, "parse_math": False, "color": INK}
    figure.text(
        MARGIN / width, 1 - MARGIN / height, heading, va="top", fontsize=title_size, **style
    )
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    cmap = matplotlib.colormaps["Blues"].with_extremes(bad=NO_PICTURES)
    # Where no numbers are written, one mistake among twenty pictures has to be seen by its colour.
    norm = PowerNorm(0.5 if count > MAX_COUNTED else 1.0, vmin=0, vmax=1)
    image = axes.imshow(shares, cmap=cmap, norm=norm, interpolation="nearest", aspect="auto")
    axes.set_xticks(range(count), names, rotation=90 * turned, fontsize=size, **style)
    axes.set_yticks(range(count), names, fontsize=size, **style)
    edges = np.arange(1, count) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.4)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_color(GRID)
    at: dict[str, Any] = {"ha": "center", "fontsize": CAPTION_SIZE, "color": FAINT}
    figure.text((left + side / 2) / width, MARGIN / height, "predicted", va="bottom", **at)
    figure.text(
        MARGIN / width, (bottom + side / 2) / height, "true", va="center", rotation=90, **at
    )

    bar_height = min(side, 220)
    bar_box = (left + side + 24, bottom + side - bar_height, 12, bar_height)
    bar_axes = figure.add_axes(tuple(np.divide(bar_box, (width, height, width, height))))
    bar = figure.colorbar(image, cax=bar_axes, format=PercentFormatter(1), ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    bar_axes.tick_params(length=0, labelsize=NOTE_SIZE, labelcolor=FAINT)
    bar_axes.set_xlabel("of the row", fontsize=NOTE_SIZE, color=FAINT, labelpad=6)
    _write_counts(axes, matrix, shares, cell)
    return figure


def _write_counts(
    axes: Axes, matrix: npt.NDArray[np.integer], shares: npt.NDArray[np.floating], cell: int
) -> None:
    count = len(matrix)
    digits = text_width(str(matrix.max()), CAPTION_SIZE, [BASE_FAMILY], DPI)
    size = CAPTION_SIZE * min(1.0, 0.85 * cell / digits)
    if count > MAX_COUNTED or size < MIN_SIZE:
        return
    for row, column in np.ndindex(count, count):
        # Zeros are only clutter in a large matrix, but a gap in a small one.
        if matrix[row, column] or count <= 10:
            # Where either colour stands out from the blue by the same ratio of brightness.
            colour = "white" if shares[row, column] > 0.65 else INK
            axes.text(
                column,
                row,
                str(matrix[row, column]),
                ha="center",
                va="center",
                fontsize=size,
                color=colour,
                family=BASE_FAMILY,
            )


def loss_per_iteration(
    steps: npt.ArrayLike, losses: npt.ArrayLike, title: str = "Training loss"
) -> Figure:
    """Draw the loss of every batch as a thin line and their running mean as a thick one.

    Args:
        steps: (N,) iteration numbers.
        losses: (N,) losses; NaN leaves a gap.
        title: Headline.
    """
    steps, losses = np.asarray(steps), np.asarray(losses, dtype=np.float64)
    figure = Figure(figsize=CURVE_INCHES, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    window = min(len(losses), max(5, min(len(losses) // SMOOTHING, MAX_WINDOW)))
    marker = "." if len(losses) <= MAX_MARKERS else ""
    axes.plot(steps, losses, color=TRAIN, alpha=0.35, linewidth=0.5, marker=marker, label="batch")
    mean = _running_mean(losses, window)
    axes.plot(steps, mean, color=TRAIN, linewidth=1.5, label=f"mean of {window}")
    _dress(axes, title, "iteration")
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

    Args:
        epochs: (N,) epoch numbers.
        train_loss: (N,) losses; NaN where there is none, as in epochs without validation.
        val_loss: Likewise.
        train_acc: (N,) accuracies in [0, 1]; NaN as above.
        val_acc: Likewise.
        best_epoch: The epoch whose weights are kept, marked by a dashed line.
    """
    figure = Figure(figsize=CURVE_INCHES, dpi=DPI, layout="constrained")
    accuracy, loss = figure.subplots(1, 2)
    numbers = np.asarray(epochs)
    for axes, train, val in ((accuracy, train_acc, val_acc), (loss, train_loss, val_loss)):
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
            label = f"best epoch: {best_epoch}"
            axes.axvline(best_epoch, color=FAINT, linewidth=0.8, linestyle="--", label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    _dress(accuracy, "Accuracy", "epoch")
    _dress(loss, "Loss", "epoch")
    return figure


def _dress(axes: Axes, title: str, x_label: str) -> None:
    axes.set_title(
        title,
        loc="left",
        fontsize=TITLE_SIZE,
        color=INK,
        family=label_fonts([title]),
        parse_math=False,
    )
    axes.set_xlabel(x_label, fontsize=CAPTION_SIZE, color=FAINT)
    axes.tick_params(length=0, labelsize=CAPTION_SIZE, labelcolor=FAINT)
    axes.grid(color=GRID, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.legend(fontsize=CAPTION_SIZE, frameon=False, labelcolor=INK)
