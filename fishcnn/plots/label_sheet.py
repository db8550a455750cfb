"""The contact sheet of labels that are probably wrong: the given class, and the likely one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fishcnn.plots.duplicate_sheet import (
    BOX_HEIGHT,
    BOX_WIDTH,
    COLUMNS,
    EDGE,
    GAP,
    fitting,
    restored,
)
from fishcnn.plots.figure import CAPTION_SIZE, FAINT, INK, LINE_HEIGHT, MARGIN, NOTE_SIZE, WRONG
from fishcnn.plots.fonts import label_fonts
from fishcnn.plots.page import Page

ON_A_PAGE = 6 * COLUMNS
LEGEND = "red: the class that the image has now; below it, the class that it may show"


class DoubtfulLabel(NamedTuple):
    """An image whose label is probably wrong.

    Attributes:
        image: uint8 (S, S, 3), RGB, squashed to a square.
        aspect: width / height of the original.
        name: such as its folder and file.
        given: the class that it has.
        likely: the class that it probably shows, with its probability.
    """

    image: npt.NDArray[np.uint8]
    aspect: float
    name: str
    given: str
    likely: str


def label_sheet(labels: Sequence[DoubtfulLabel], title: str, first: int = 1) -> Figure:
    """Draw a page of up to ON_A_PAGE images, numbered from ``first``."""
    texts = [title, LEGEND, *(text for one in labels for text in (one.name, one.given, one.likely))]
    families = label_fonts(texts)
    columns = min(COLUMNS, max(COLUMNS // 2, len(labels)))
    pitch_x, pitch_y = BOX_WIDTH + GAP, BOX_HEIGHT + 5 + 3 * LINE_HEIGHT + GAP
    top = MARGIN + 36 + LINE_HEIGHT + 6
    lines = -(-len(labels) // columns)
    page = Page(
        columns * pitch_x - GAP + 2 * MARGIN, top + lines * pitch_y + MARGIN, title, families
    )
    page.write(MARGIN, MARGIN + 34, LEGEND, page.room, NOTE_SIZE, color=FAINT)
    for place, one in enumerate(labels):
        line, column = divmod(place, columns)
        x, y = MARGIN + column * pitch_x, top + line * pitch_y
        thumbnail = restored(one.image, one.aspect)
        high, wide = thumbnail.shape[:2]
        lower = y + BOX_HEIGHT - high  # on one base line, next to the captions
        page.paste(thumbnail, x, lower)
        page.axes.add_patch(Rectangle((x, lower), wide, high, fill=False, ec=EDGE, lw=0.5))
        under = y + BOX_HEIGHT + 5
        name = f"{first + place} {fitting(one.name, families)}"
        page.write(x, under + 2, name, BOX_WIDTH, NOTE_SIZE, color=FAINT)
        page.write(x, under + LINE_HEIGHT, one.given, BOX_WIDTH, CAPTION_SIZE, color=WRONG)
        page.write(x, under + 2 * LINE_HEIGHT, one.likely, BOX_WIDTH, CAPTION_SIZE, color=INK)
    return page.figure()
