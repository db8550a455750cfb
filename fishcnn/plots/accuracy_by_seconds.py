"""The chart of accuracy against the time it took."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from fishcnn.plots.figure import CAPTION_SIZE, DPI, FAINT, INK, TRAIN, VAL, dress
from fishcnn.plots.fonts import label_fonts, shorten, text_width

_WIDTH, _HEIGHT, _LEFT, _CHART, _LINE = 1180, 540, 76, 760, 22  # pixels
_NAMED = 18  # lines on the right
_FEW = 40  # configurations whose intervals can be told apart
_UNITS = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
_SIGNS = {"s": 1.0, "min": 60.0, "h": 3600.0}
# Of a logarithmic axis, by what is written there; of many those that begin with a 1.
_TIMES = {f"{n} {sign}": n * at for sign, at in _SIGNS.items() for n in (1, 2, 5, 10, 20, 30)}
_TIMES |= {"0.1 s": 0.1, "0.3 s": 0.3, "100 h": 360_000.0}
_MOST_TIMES = 9

Floats = npt.NDArray[np.float64]


def accuracy_by_seconds(
    seconds: Floats,
    accuracy: Floats,
    intervals: Floats,
    labels: Sequence[str],
    title: str,
    interval: str = "95% interval",
) -> Figure:
    """Draw N configurations by accuracy and time, and name those that no other beats in both.

    Those have a number, their place from 1, and a line with their name on the right.

    Args:
        seconds: ``(N,)``, above 0.
        accuracy: ``(N,)`` in [0, 1], falling.
        intervals: ``(2, N)``, lower and upper ends; drawn for 40 configurations at most.
        labels: what was varied, of each.
        title: headline.
        interval: what the intervals are called.
    """
    figure = Figure(figsize=(_WIDTH / DPI, _HEIGHT / DPI), dpi=DPI)
    chart = (_LEFT / _WIDTH, 0.12, (_CHART - _LEFT) / _WIDTH, 0.74)
    axes = figure.add_axes(chart)
    front = _front(seconds, accuracy)
    is_wide = seconds.max() > 20 * seconds.min()
    units = (one for one in _UNITS if seconds.max() >= 3 * _UNITS[one])
    unit = "time" if is_wide else next(units, "seconds")
    seconds = seconds / _UNITS.get(unit, 1)
    if len(seconds) <= _FEW:
        axes.vlines(seconds, *intervals, color=FAINT, alpha=0.35, linewidth=1, label=interval)
    axes.plot(seconds, accuracy, "o", color=TRAIN, markersize=4, alpha=0.8)
    label = "no other is both better and quicker"
    line: dict[str, Any] = {"color": VAL, "markersize": 4.5, "linewidth": 1.0, "label": label}
    axes.plot(seconds[front], accuracy[front], "o-", **line)
    if is_wide:
        axes.set_xscale("log")
        times = {text: at for text, at in _TIMES.items() if seconds.min() <= at <= seconds.max()}
        if len(times) > _MOST_TIMES:
            times = {text: at for text, at in times.items() if text[0] == "1"}
        axes.set_xticks([*times.values()], [*times])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        # Runs that take about as long are not drawn as if they did not.
        start = 0.0 if seconds.max() > 2 * seconds.min() else seconds.max() / 2
        axes.set_xlim(start, 1.08 * seconds.max())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{round(x, 9):g}"))
    axes.set(xlabel=f"{unit} of a run", ylabel="validation accuracy")
    dress(axes, title, legend=True, percent="y")
    for place in front:
        axes.annotate(
            str(place + 1), (seconds[place], accuracy[place]), (-4, 3),
            textcoords="offset points", ha="right", fontsize=CAPTION_SIZE, color=INK,
        )  # fmt: skip
    families = label_fonts(labels)
    lines = [
        part
        for place in front[::-1]
        for part in _lines(
            f"{place + 1}\N{NO-BREAK SPACE}{labels[place]}", _WIDTH - _CHART - 56, families
        )
    ]
    for number, text in enumerate(lines[:_NAMED]):
        figure.text(
            (_CHART + 24) / _WIDTH, 0.86 - number * _LINE / _HEIGHT, text,
            fontsize=CAPTION_SIZE, family=families, va="top", color=INK, parse_math=False,
        )  # fmt: skip
    return figure


def _lines(text: str, room: float, families: list[str]) -> list[str]:
    """A text in lines of that many pixels, which end at blanks."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, CAPTION_SIZE, families, DPI) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    first, *others = (shorten(line, room, CAPTION_SIZE, families, DPI) for line in lines)
    return [first, *(f"    {line}" for line in others)]


def _front(seconds: Floats, accuracy: Floats) -> list[int]:
    """Those that are better than all that are as quick or quicker, the quickest first."""
    front: list[int] = []
    for place in np.lexsort((-accuracy, seconds)).tolist():
        if not front or accuracy[place] > accuracy[front[-1]]:
            front.append(place)
    return front
