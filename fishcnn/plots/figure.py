"""What all figures share: resolution, colours, headlines, and the way to pixels.

Nothing here touches pyplot: its global list of figures leaks memory over a long training.
"""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fishcnn.plots.fonts import label_fonts, missing_glyphs_allowed, shorten, text_width

# A power of two: pixels / DPI * DPI is exact, so one pixel of an image is one on the screen.
DPI = 128
INK, FAINT, GRID, WRONG = "#202020", "#707070", "#dcdcdc", "#c00000"
TRAIN, VAL = "#1f6fb4", "#d9720a"  # blue and orange, which colour-blind people can tell apart
TITLE_SIZE, CAPTION_SIZE, NOTE_SIZE = 10.0, 6.5, 5.5  # points; 1 point is 1.8 pixels
MARGIN, LINE_HEIGHT = 14, 15  # pixels
_LEGEND_ROOM = 16  # points between the headline and its chart


def headline(title: str, room: int, families: list[str]) -> tuple[str, float]:
    """Make a headline fit by smaller letters, down to the size of captions, then by an ellipsis.

    Returns:
        The text and its size in points, at which it is no wider than the room in pixels.
    """
    needed = max(text_width(title, TITLE_SIZE, families, DPI), 1)
    size = max(CAPTION_SIZE, TITLE_SIZE * min(1, room / needed))
    return shorten(title, room, size, families, DPI), size


def _as_percent(share: float, _place: object = None) -> str:
    """A share at a tick, without digits that say nothing."""
    return f"{round(100 * share, 6):g}%"


def dress(
    axes: Axes,
    title: str = "",
    *,
    size: float = TITLE_SIZE,
    legend: bool = False,
    percent: str = "",
) -> None:
    """Give a chart the look of all our charts: a faint grid and no frame.

    Its lines and the names of its axes are there already. A legend stands between the headline and
    the chart, where it covers no line. ``percent`` names the axes, of ``"xy"``, whose numbers are
    shares.
    """
    for name in percent:
        getattr(axes, f"{name}axis").set_major_formatter(_as_percent)
    fonts = label_fonts([title])
    axes.set_title(
        title,
        loc="left",
        pad=_LEGEND_ROOM if legend else None,
        fontsize=size,
        color=INK,
        family=fonts,
        parse_math=False,
    )
    axes.tick_params(length=0, labelsize=CAPTION_SIZE, labelcolor=FAINT)
    axes.xaxis.label.set(fontsize=CAPTION_SIZE, color=FAINT)
    axes.yaxis.label.set(fontsize=CAPTION_SIZE, color=FAINT)
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    if legend:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=4,
            fontsize=CAPTION_SIZE,
            frameon=False,
            labelcolor=INK,
            borderpad=0,
            borderaxespad=0.3,
            handlelength=1.5,
            columnspacing=1.5,
        )


def figure_to_array(figure: Figure) -> npt.NDArray[np.uint8]:
    """Draw a figure, for TensorBoard or Pillow.

    Unlike :meth:`Figure.savefig` it is quiet about letters that no installed font has.

    Returns:
        (H, W, 3), RGB.
    """
    canvas = FigureCanvasAgg(figure)
    with missing_glyphs_allowed():
        canvas.draw()  # type: ignore[no-untyped-call]
    rgba = np.asarray(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    return rgba[..., :3].copy()
