"""The contact sheet of near-duplicates: one group a row, for a person to judge."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from fishcnn.plots.figure import (
    CAPTION_SIZE,
    DPI,
    FAINT,
    INK,
    LINE_HEIGHT,
    MARGIN,
    NOTE_SIZE,
    WRONG,
)
from fishcnn.plots.fonts import label_fonts, text_width
from fishcnn.plots.page import Page

EDGE = "#c8c8c8"
LEGEND = "red frame: another class than most of the group; without a majority, all have one"
COLUMNS = 8
# An image fits into so many pixels: fish are wider than high.
BOX_WIDTH, BOX_HEIGHT = 152, 114
GAP, ROW_GAP = 10, 18  # pixels
# A group takes at most so many lines of thumbnails, a page about so many.
LINES_A_GROUP, LINES_A_PAGE = 2, 10
MOST_SHOWN = COLUMNS * LINES_A_GROUP


@dataclass(frozen=True)
class DuplicateGroup:
    """A group of near-duplicates, or as much of it as is shown.

    Attributes:
        images: n ≤ MOST_SHOWN images, uint8 (n, S, S, 3), RGB, each squashed to a square.
        aspect: float (n,), width / height of the originals.
        suspect: bool (n,), whose class is marked; see suspects().
        names: What stands below each, such as its folder and file.
        size: Number of images in the whole group.
    """

    title: str
    images: npt.NDArray[np.uint8]
    aspect: npt.NDArray[np.floating]
    names: Sequence[str]
    classes: Sequence[str]
    suspect: npt.NDArray[np.bool_]
    size: int


def suspects(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell whose label disagrees with most of a group; without a majority, all are suspect.

    Returns:
        bool (n,), for n ≥ 1 labels; none if all labels are the same.
    """
    counts = Counter(labels.tolist())
    label, most = counts.most_common(1)[0]
    if most * 2 <= len(labels):
        return np.ones(len(labels), np.bool_)
    differ: npt.NDArray[np.bool_] = labels != label
    return differ


def shown_first(suspect: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Choose the members of a group to show: the first, but the suspects before all others.

    Returns:
        int64 (min(n, MOST_SHOWN),), positions in the group.
    """
    if len(suspect) <= MOST_SHOWN:
        return np.arange(len(suspect))
    return np.argsort(~suspect, kind="stable")[:MOST_SHOWN]


def paginate(group_sizes: Sequence[int]) -> list[range]:
    """Divide groups of these numbers of images into pages of about ten lines of thumbnails."""
    pages, start, filled = [], 0, 0
    for index, size in enumerate(group_sizes):
        lines = _lines(min(size, MOST_SHOWN))
        if filled and filled + lines > LINES_A_PAGE:
            pages.append(range(start, index))
            start, filled = index, 0
        filled += lines
    return [*pages, range(start, len(group_sizes))] if group_sizes else []


def duplicate_sheet(groups: Sequence[DuplicateGroup], title: str, note: str = "") -> Figure:
    """Draw a page: every group under its title, each image with its file name and class.

    Images have the width / height of their originals. Where the classes of a group differ, its
    title is red, and so are the frame and the class of the suspects, which a line at the bottom
    explains. The note stands below it.
    """
    marked = any(group.suspect.any() for group in groups)
    texts = [title, note, *(text for g in groups for text in (g.title, *g.names, *g.classes))]
    families = label_fonts(texts)
    pitch_x, pitch_y = BOX_WIDTH + GAP, BOX_HEIGHT + 5 + 2 * LINE_HEIGHT + GAP
    # Pairs leave the right half empty, but titles need some room.
    columns = min(COLUMNS, max(COLUMNS // 2, *(len(g.names) for g in groups)))
    width = columns * pitch_x - GAP + 2 * MARGIN
    heights = [LINE_HEIGHT + 4 + _lines(len(g.names)) * pitch_y + ROW_GAP for g in groups]
    height = MARGIN + 36 + sum(heights) + (1 + marked) * LINE_HEIGHT + MARGIN

    page = Page(width, height, title, families)
    top = MARGIN + 36
    for group, taken in zip(groups, heights, strict=True):
        group_title = group.title
        if group.size > len(group.names):
            group_title += f"; {group.size - len(group.names)} more not shown"
        colour = WRONG if group.suspect.any() else INK
        page.write(MARGIN, top, group_title, page.room, CAPTION_SIZE + 1, color=colour)
        for position, (name, class_name) in enumerate(zip(group.names, group.classes, strict=True)):
            line, column = divmod(position, columns)
            x = MARGIN + column * pitch_x
            y = top + LINE_HEIGHT + 8 + line * pitch_y
            thumbnail = restored(group.images[position], float(group.aspect[position]))
            high, wide = thumbnail.shape[:2]
            lower = y + BOX_HEIGHT - high  # on one base line, next to the captions
            page.paste(thumbnail, x, lower)
            suspect = group.suspect[position]
            # On white, a studio photograph would have no edge.
            edge, line_width = (WRONG, 2.0) if suspect else (EDGE, 0.5)
            frame = Rectangle((x, lower), wide, high, fill=False, ec=edge, lw=line_width)
            page.axes.add_patch(frame)
            under = y + BOX_HEIGHT + 5
            shown = fitting(name, families)
            page.write(x, under + 2, shown, BOX_WIDTH, NOTE_SIZE, color=FAINT)
            colour = WRONG if suspect else INK
            page.write(x, under + LINE_HEIGHT, class_name, BOX_WIDTH, CAPTION_SIZE, color=colour)
        top += taken
    if marked:
        page.axes.add_patch(
            Rectangle((MARGIN, top + 1), 15, LINE_HEIGHT - 6, fill=False, ec=WRONG, lw=2.0)
        )
        page.write(MARGIN + 22, top, LEGEND, page.room - 22, NOTE_SIZE, color=INK)
    page.write(MARGIN, height - MARGIN - LINE_HEIGHT, note, page.room, NOTE_SIZE, color=FAINT)
    return page.figure()


def fitting(name: str, families: list[str]) -> str:
    """A name without its folder where that leaves no room for the file."""
    wide = text_width(name, NOTE_SIZE, families, DPI) > BOX_WIDTH
    return f"…/{name.rpartition('/')[2]}" if wide and "/" in name else name


def _lines(images: int) -> int:
    return -(-images // COLUMNS)


def restored(image: npt.NDArray[np.uint8], aspect: float) -> npt.NDArray[np.uint8]:
    """Undo the squashing of uint8 (S, S, 3): the largest image of this aspect in the box."""
    wide = min(BOX_WIDTH, BOX_HEIGHT * aspect)
    size = max(1, round(wide)), max(1, round(wide / aspect))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
