"""The chart of accuracy against the time it took."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from fishcnn.plots.figure import CAPTION_SIZE, DPI, FAINT, INK, TRAIN, VAL, dress
from fishcnn.plots.fonts import label_fonts, shorten

_WIDTH, _HEIGHT, _LEFT, _CHART, _LINE = 1180, 540, 76, 760, 22  # pixels
_NAMED = 18  # lines on the right
_FEW = 40  # configurations whose intervals can be told apart

Floats = npt.NDArray[np.float64]


def accuracy_by_seconds(
    seconds: Floats, accuracy: Floats, intervals: Floats, labels: Sequence[str], title: str
) -> Figure:
    """Draw N configurations by accuracy and time, and name those that no other beats in both.

    Those have a number, their place from 1, and a line with their name on the right.

    Args:
        seconds: ``(N,)``, above 0.
        accuracy: ``(N,)`` in [0, 1], falling.
        intervals: ``(2, N)``, lower and upper ends; drawn for 40 configurations at most.
        labels: what was varied, of each.
        title: headline.
    """
    figure = Figure(figsize=(_WIDTH / DPI, _HEIGHT / DPI), dpi=DPI)
    chart = (_LEFT / _WIDTH, 0.12, (_CHART - _LEFT) / _WIDTH, 0.74)
    axes = figure.add_axes(chart)
    front = _front(seconds, accuracy)
    if len(seconds) <= _FEW:
        axes.vlines(seconds, *intervals, color=FAINT, alpha=0.35, linewidth=1)
    axes.plot(seconds, accuracy, "o", color=TRAIN, markersize=4, alpha=0.8)
    label = "no other is both better and quicker"
    line: dict[str, Any] = {"color": VAL, "markersize": 4.5, "linewidth": 1.0, "label": label}
    axes.plot(seconds[front], accuracy[front], "o-", **line)
    if seconds.max() > 20 * seconds.min():
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, 1.08 * seconds.max())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(xlabel="seconds of a run", ylabel="validation accuracy")
    dress(axes, title, legend=True, percent="y")
    for place in front:
        axes.annotate(
            str(place + 1), (seconds[place], accuracy[place]), (-4, 3),
            textcoords="offset points", ha="right", fontsize=CAPTION_SIZE, color=INK,
        )  # fmt: skip
    families = label_fonts(labels)
    for number, place in enumerate(front[::-1][:_NAMED]):
        text = shorten(
            f"{place + 1}  {labels[place]}", _WIDTH - _CHART - 36, CAPTION_SIZE, families, DPI
        )
        figure.text(
            (_CHART + 24) / _WIDTH, 0.86 - number * _LINE / _HEIGHT, text,
            fontsize=CAPTION_SIZE, family=families, va="top", color=INK, parse_math=False,
        )  # fmt: skip
    return figure


def _front(seconds: Floats, accuracy: Floats) -> list[int]:
    """Those that are better than all that are as quick or quicker, the quickest first."""
    front: list[int] = []
    for place in np.lexsort((-accuracy, seconds)).tolist():
        if not front or accuracy[place] > accuracy[front[-1]]:
            front.append(place)
    return front
