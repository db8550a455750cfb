"""The chart of what each setting of a sweep does on average."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fishcnn.plots.figure import CAPTION_SIZE, DPI, FAINT, INK, TRAIN, VAL, dress, headline
from fishcnn.plots.fonts import label_fonts, shorten, text_width

Floats = npt.NDArray[np.float64]

_WIDTH, _LABELS, _RIGHT = 900, 270, 40  # pixels
_ROW, _HEAD, _FOOT, _TITLE = 24, 42, 44, 44
_MOST_ROWS = 16  # of one setting
_MOST_SETTINGS = 12


class Effect(NamedTuple):
    """What one setting of L values does.

    Attributes:
        name: of the setting.
        levels: its values.
        means: ``(L,)`` in [0, 1].
        half_widths: ``(L,)``, of intervals; NaN where there is none.
        note: how large the effect is, in a few words.
        is_sure: whether it is beyond the noise.
    """

    name: str
    levels: Sequence[str]
    means: Floats
    half_widths: Floats
    note: str
    is_sure: bool


def effect_chart(effects: Sequence[Effect], title: str) -> Figure:
    """Draw the mean accuracy of every value of every setting, with its interval.

    Those beyond the noise are blue, the others grey. The scale is the same for all, so that what
    mattered is seen at once. At most 12 settings, each with 16 values at most, are drawn.

    Args:
        effects: one a setting, in the order in which they are drawn.
        title: headline.
    """
    shown = effects[:_MOST_SETTINGS]
    rows = [min(len(effect.levels), _MOST_ROWS) for effect in shown]
    height = _TITLE + sum(_HEAD + _ROW * count for count in rows) + _FOOT
    figure = Figure(figsize=(_WIDTH / DPI, height / DPI), dpi=DPI)
    families = label_fonts([title, *(t for e in shown for t in (e.name, *e.levels))])
    heading, size = headline(title, _WIDTH - 28, families)
    figure.text(
        14 / _WIDTH, 1 - 12 / height, heading,
        fontsize=size, family=families, va="top", color=INK, parse_math=False,
    )  # fmt: skip
    figure.text(
        14 / _WIDTH, 1 - 38 / height, _legend(shown),
        fontsize=CAPTION_SIZE, va="top", color=FAINT,
    )  # fmt: skip
    low, high = _ends(shown)
    top = _TITLE
    for number, (effect, count) in enumerate(zip(shown, rows, strict=True)):
        top += _HEAD
        place = (
            _LABELS / _WIDTH,
            1 - (top + _ROW * count) / height,
            1 - (_LABELS + _RIGHT) / _WIDTH,
            _ROW * count / height,
        )
        axes = figure.add_axes(place)
        top += _ROW * count
        colour = TRAIN if effect.is_sure else FAINT
        at = np.arange(count)
        means, half = effect.means[:count], effect.half_widths[:count]
        axes.axvline(effect.means.mean(), color=VAL, linewidth=0.8, linestyle="--")
        drawn = np.nan_to_num(half)
        axes.errorbar(
            means, at, xerr=drawn, fmt="o", color=colour, markersize=4, elinewidth=1.5, capsize=2
        )
        axes.set(xlim=(low, high), ylim=(count - 0.5, -0.5))
        texts = [
            shorten(t, _LABELS - 24, CAPTION_SIZE, families, DPI) for t in effect.levels[:count]
        ]
        axes.set_yticks(at, texts)
        note, size = f": {effect.note}", CAPTION_SIZE + 1.5
        room = _WIDTH - _RIGHT - 14 - text_width(note, size, families, DPI)
        heading = shorten(effect.name, room, size, families, DPI) + note
        dress(axes, percent="x")
        for label in axes.get_yticklabels():
            label.set(family=families, color=INK, parse_math=False)
        axes.annotate(
            heading, (0, 1), ((14 - _LABELS) * 72 / DPI, 4), "axes fraction", "offset points",
            fontsize=size, family=families, color=INK, parse_math=False,
        )  # fmt: skip
        if number + 1 < len(shown):
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("mean validation accuracy")
    return figure


def _legend(effects: Sequence[Effect]) -> str:
    """What the marks are, of those that are there."""
    words = ["dashed: mean of all values of the setting"]
    if any(np.isfinite(effect.half_widths).any() for effect in effects):
        words.append("bar: 95% interval of the difference from that")
    else:
        words.append("too few runs for intervals")
    if any(effect.is_sure for effect in effects):
        words.append("blue: the setting matters beyond the noise")
    return "; ".join(words)


def _ends(effects: Sequence[Effect]) -> tuple[float, float]:
    low = min(float((e.means - np.nan_to_num(e.half_widths)).min()) for e in effects)
    high = max(float((e.means + np.nan_to_num(e.half_widths)).max()) for e in effects)
    margin = max(0.05 * (high - low), 0.002)
    return max(low - margin, -0.02), min(high + margin, 1.02)
