"""The chart of accuracy against the time it took."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from fishcnn.plots.figure import CAPTION_SIZE, DPI, FAINT, INK, TRAIN, VAL, dress
from fishcnn.plots.fonts import label_fonts, shorten

_INCHES = (7.0, 4.4)
_LABEL = 260  # pixels
_FEW = 40  # configurations whose intervals can be told apart

Floats = npt.NDArray[np.float64]


def accuracy_by_seconds(
    seconds: Floats, accuracy: Floats, intervals: Floats, labels: Sequence[str], title: str
) -> Figure:
    """Draw N configurations by accuracy and time; those that no other beats in both have a name.

    Args:
        seconds: ``(N,)``, above 0.
        accuracy: ``(N,)`` in [0, 1].
        intervals: ``(2, N)``, lower and upper ends; drawn for 40 configurations at most.
        labels: what was varied, of each.
        title: headline.
    """
    figure = Figure(figsize=_INCHES, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    front = _front(seconds, accuracy)
    if len(seconds) <= _FEW:
        axes.vlines(seconds, *intervals, color=FAINT, alpha=0.35, linewidth=1)
    axes.plot(seconds, accuracy, "o", color=TRAIN, markersize=4, alpha=0.8)
    axes.plot(
        seconds[front], accuracy[front], "o-", color=VAL, markersize=4.5, linewidth=1,
        label="no other is both better and quicker",
    )  # fmt: skip
    if seconds.max() > 20 * seconds.min():
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, 1.08 * seconds.max())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(xlabel="seconds of a run", ylabel="validation accuracy")
    families = label_fonts(labels)
    last = -np.inf
    room = 0.035 * max(float(np.ptp(intervals if len(seconds) <= _FEW else accuracy)), 1e-3)
    for place in front:
        if accuracy[place] - last < room and place != front[-1]:
            continue  # it would stand upon the one before
        last = accuracy[place]
        right = seconds[place] > np.sqrt(seconds.max() * seconds.min()) and len(front) > 0
        late = seconds[place] > 0.5 * seconds.max() if axes.get_xscale() == "linear" else right
        axes.annotate(
            shorten(labels[place], _LABEL, CAPTION_SIZE, families, DPI),
            (seconds[place], accuracy[place]),
            (-5 if late else 5, 4),
            textcoords="offset points",
            ha="right" if late else "left",
            fontsize=CAPTION_SIZE,
            family=families,
            color=INK,
            parse_math=False,
        )
    dress(axes, title, legend=True, percent="y")
    return figure


def _front(seconds: Floats, accuracy: Floats) -> list[int]:
    """Those that are better than all that are as quick or quicker, the quickest first."""
    front: list[int] = []
    for place in np.lexsort((-accuracy, seconds)).tolist():
        if not front or accuracy[place] > accuracy[front[-1]]:
            front.append(place)
    return front
