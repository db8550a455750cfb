"""The map of what two settings of a sweep do together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fishcnn.plots.figure import CAPTION_SIZE, DPI, FAINT, INK, dress, headline
from fishcnn.plots.fonts import label_fonts, shorten, text_width
from fishcnn.utils.text import percent

Floats = npt.NDArray[np.float64]

_CELL_WIDTH, _CELL_HEIGHT = 84, 34  # pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 210, 30, 72, 52
_LONGEST = 200  # pixels of a name that is slanted
_SLANT = 30  # degrees
_LEAST_WIDTH = 560
_MOST = 16  # values of one setting


def heat_map(
    means: Floats,
    rows: Sequence[str],
    columns: Sequence[str],
    names: tuple[str, str],
    title: str,
) -> Figure:
    """Draw the mean accuracy of every pair of values.

    At most 16 values of either setting are drawn.

    Args:
        means: ``(R, C)`` in [0, 1]; NaN where no run has that pair, which stays empty.
        rows: values of the first setting.
        columns: values of the second one.
        names: of both settings.
        title: headline.
    """
    means, rows, columns = means[:_MOST, :_MOST], rows[:_MOST], columns[:_MOST]
    wide, high = len(columns) * _CELL_WIDTH, len(rows) * _CELL_HEIGHT
    families = label_fonts([title, *names, *rows, *columns])
    widest = max(text_width(text, CAPTION_SIZE, families, DPI) for text in columns)
    slanted = widest > _CELL_WIDTH - 8
    bottom = _BOTTOM + slanted * round(min(widest, _LONGEST) * np.sin(np.radians(_SLANT)))
    width, height = max(_LEFT + wide + _RIGHT, _LEAST_WIDTH), _TOP + high + bottom
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((_LEFT / width, bottom / height, wide / width, high / height))
    axes.imshow(np.ma.masked_invalid(means), cmap="Blues", aspect="auto", interpolation="nearest")
    dress(axes)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    size = CAPTION_SIZE
    side = [shorten(text, _LEFT - 24, size, families, DPI) for text in rows]
    axes.set_yticks(range(len(rows)), side)
    axes.set_xticks(
        range(len(columns)),
        [shorten(text, _LONGEST, size, families, DPI) for text in columns],
        rotation=_SLANT if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor" if slanted else "default",
    )
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set(family=families, color=INK, parse_math=False)
    least, most = np.nanmin(means), np.nanmax(means)
    for row, column in np.argwhere(~np.isnan(means)).tolist():
        mean = means[row, column]
        dark = most > least and (mean - least) / (most - least) > 0.65
        axes.text(
            column, row, percent(mean), ha="center", va="center",
            fontsize=CAPTION_SIZE, color="white" if dark else INK,
        )  # fmt: skip
    style: dict[str, Any] = {
        "fontsize": CAPTION_SIZE,
        "family": families,
        "color": FAINT,
        "parse_math": False,
    }
    centre = _LEFT + wide / 2
    across = shorten(names[1], 2 * min(centre, width - centre) - 28, size, families, DPI)
    figure.text(centre / width, 10 / height, across, ha="center", va="bottom", **style)
    down = shorten(names[0], width - 28, size, families, DPI)
    figure.text(14 / width, 1 - (_TOP - 10) / height, down, ha="left", va="bottom", **style)
    heading, size = headline(title, width - 28, families)
    figure.text(
        14 / width, 1 - 12 / height, heading,
        fontsize=size, family=families, va="top", color=INK, parse_math=False,
    )  # fmt: skip
    return figure
