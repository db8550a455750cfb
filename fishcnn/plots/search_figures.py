"""The figures of a search: which settings matter, how it went, what good trials have in common."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fishcnn.plots.figure import (
    CAPTION_SIZE,
    DPI,
    FAINT,
    INK,
    NOTE_SIZE,
    TRAIN,
    VAL,
    dress,
)
from fishcnn.plots.fonts import label_fonts, shorten
from fishcnn.utils.text import percent

_WIDTH, _HEIGHT = 7.0, 3.8  # inches
_ROW = 0.24  # inches of a setting
_LONGEST = 150  # pixels of a name or a value
_MOST_VALUES = 12  # of a scale that are written out
_MARGIN = 0.03  # of a scale, above and below its values

Floats = npt.NDArray[np.float64]


def importance(names: Sequence[str], shares: Floats, title: str) -> Figure:
    """Draw how much each setting matters as a bar, the most important one on top.

    Args:
        names: of S settings.
        shares: (S,) in [0, 1].
        title: headline.
    """
    order = np.argsort(shares, kind="stable")
    height = max(1.6, _ROW * len(names) + 1.0)
    figure = Figure(figsize=(_WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(names)), shares[order], height=0.6, color=TRAIN)
    fonts = label_fonts(names)
    shown = [shorten(names[row], 2 * _LONGEST, CAPTION_SIZE, fonts, DPI) for row in order]
    axes.set_yticks(range(len(names)), shown, family=fonts, parse_math=False)
    for place, row in enumerate(order):
        axes.text(
            shares[row] + 0.01,
            place,
            percent(shares[row], 0),
            va="center",
            size=CAPTION_SIZE,
            color=INK,
        )
    axes.set_xlim(0, max(float(shares.max(initial=0.0)) * 1.15, 0.1))
    axes.set_xlabel("importance (PED-ANOVA)")
    dress(axes, title, percent="x")
    axes.grid(visible=False, axis="y")
    return figure


def search_history(numbers: Floats, losses: Floats, pruned: npt.NDArray[np.bool_]) -> Figure:
    """Draw the validation loss of every trial, and the lowest so far of those that were finished.

    Args:
        numbers: (N,), of the trials, rising.
        losses: (N,); NaN where there is none.
        pruned: (N,), whether a trial was ended early: its lowest loss until then is drawn.
    """
    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    done = ~pruned & np.isfinite(losses)
    low, high = _window(losses, done)
    edge, above = high - 0.03 * (high - low), False
    for which, marker, colour, label in (
        (pruned & np.isfinite(losses), "x", FAINT, "pruned"),
        (done, "o", TRAIN, "finished"),
    ):
        if which.any():
            style: dict[str, Any] = {
                "color": colour,
                "markersize": 4,
                "label": label,
                "clip_on": False,
            }
            axes.plot(
                numbers[which], np.where(losses[which] > high, edge, losses[which]), marker, **style
            )
            above = above or bool((losses[which] > high).any())
    if done.any():
        lowest = np.minimum.accumulate(np.where(done, losses, np.inf))
        known = np.isfinite(lowest)
        axes.step(
            numbers[known], lowest[known], where="post", color=VAL, linewidth=1.5, label="lowest"
        )
        axes.set_ylim(low, high)
    axes.set(
        xlabel="trial", ylabel="validation loss" + "; higher ones are drawn at the edge" * above
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    dress(axes, "Validation loss of the trials", legend=bool(np.isfinite(losses).any()))
    return figure


def _window(losses: Floats, done: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The ends of the scale: a trial that has diverged would press all others together."""
    if not done.any():
        return 0.0, np.inf
    finite = losses[np.isfinite(losses)]
    low, high = float(finite.min()), float(np.quantile(losses[done], 0.9))
    room = max(high - low, 0.05 * abs(high), 1e-3)
    return low - 0.1 * room, min(float(finite.max()) + 0.1 * room, high + 1.5 * room)


def parallel_coordinates(
    names: Sequence[str],
    places: Floats,
    scales: Sequence[tuple[Sequence[float], Sequence[str]]],
    losses: Floats,
    title: str,
) -> Figure:
    """Draw each trial as a line through its values, good ones in colour and on top.

    Args:
        names: of S settings.
        places: (N, S) in [0, 1], where the value of each trial stands on each scale.
        scales: of each setting, places of values and what is written there.
        losses: (N,), finite; the lower, the better.
        title: headline.
    """
    width = max(_WIDTH, 1.15 * len(names))
    figure = Figure(figsize=(width, _HEIGHT), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    across = range(len(names))
    good = losses <= np.quantile(losses, 0.2)
    looks: list[dict[str, Any]] = [
        {"color": FAINT, "linewidth": 0.8, "alpha": 0.4, "label": "others"},
        {"color": TRAIN, "linewidth": 1.1, "alpha": 0.8, "label": "best fifth"},
        {"color": VAL, "linewidth": 2.2, "label": "best"},
    ]
    best = int(losses.argmin())
    dots = "o" if len(names) == 1 else ""
    for row in np.argsort(-losses, kind="stable"):
        look = looks[2 if row == best else int(good[row])]
        axes.plot(across, places[row], marker=dots, markersize=3, **look)
        look.pop("label", None)  # once in the legend
    for place, (at, values) in zip(across, scales, strict=True):
        axes.axvline(place, color=FAINT, linewidth=0.7, zorder=0.5)
        fonts = label_fonts(values)
        step = -(-len(values) // _MOST_VALUES)
        for height, value in list(zip(at, values, strict=True))[::step]:
            axes.annotate(
                shorten(value, _LONGEST * 0.6, NOTE_SIZE, fonts, DPI),
                (place, height),
                (3, 0),
                textcoords="offset points",
                size=NOTE_SIZE,
                family=fonts,
                color=INK,
                va="center",
                parse_math=False,
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
            )
    fonts = label_fonts(names)
    # The last part of a name tells most; the group stands below it.
    parts = [reversed(name.rsplit(".", 1)) for name in names]
    short = [
        "\n".join(shorten(p, _LONGEST, CAPTION_SIZE, fonts, DPI) for p in one) for one in parts
    ]
    dress(axes, title, legend=True)
    axes.set_xticks(across, short, family=fonts, parse_math=False)
    axes.set_yticks([])
    axes.set(xlim=(-0.15, len(names) - 0.35), ylim=(-_MARGIN, 1 + _MARGIN))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure
