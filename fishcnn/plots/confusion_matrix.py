"""The confusion matrix, legible from 2 to 1,000 classes."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fishcnn.plots.figure import (
    CAPTION_SIZE,
    DPI,
    FAINT,
    GRID,
    INK,
    LINE_HEIGHT,
    MARGIN,
    NOTE_SIZE,
    headline,
)
from fishcnn.plots.fonts import BASE_FAMILY, label_fonts, shorten, text_width

NO_IMAGES = "#ececec"
MIN_SIZE = 4.5  # points, 8 pixels: smaller digits cannot be read
MATRIX_SIDE = 750  # pixels, which 8 to 50 classes share
MIN_CELL, MAX_CELL = 15, 100  # pixels: room for one line of a name; no giant squares for 2 classes
MAX_MATRIX_SIDE = 4000  # pixels: a thousand classes must not take a gigabyte
MAX_NAME = 300  # pixels, some 40 letters
MIN_MATRIX_WIDTH = 480  # pixels: room for the headline
MAX_COUNTED = 30  # classes: beyond that the numbers are too small to be read


def confusion_matrix(
    matrix: npt.NDArray[np.integer],
    classes: Sequence[str],
    title: str,
    *,
    side: int = MATRIX_SIDE,
) -> Figure:
    """Draw how often each class was taken for each other one.

    The colour of a cell is its share of the row, so that a rare class is as visible as a frequent
    one; the number in it is the count. The figure grows with the number of classes, and beyond 30
    of them the numbers are left out.

    Args:
        matrix: (K, K) counts; rows are the true classes, columns the predicted ones. A row without
            images is grey.
        classes: K class names.
        title: Headline.
        side: Pixels that all classes share, if there are not too many or too few.

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
    cell = int(min(max(side / count, MIN_CELL), MAX_CELL, MAX_MATRIX_SIDE / count))
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
    cmap = matplotlib.colormaps["Blues"].with_extremes(bad=NO_IMAGES)
    # Where no numbers are written, one mistake among twenty images has to be seen by its colour.
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
    at = {"ha": "center", "va": "center"}
    for row, column in np.ndindex(count, count):
        # Zeros are only clutter in a large matrix, but a gap in a small one.
        if matrix[row, column] or count <= 10:
            # Where either colour stands out from the blue by the same ratio of brightness.
            colour = "white" if shares[row, column] > 0.65 else INK
            count_style = {"fontsize": size, "color": colour, "family": BASE_FAMILY}
            axes.text(column, row, str(matrix[row, column]), at | count_style)
