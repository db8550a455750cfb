"""What the page and the terminal of an inspection say of labels that are probably wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fishcnn.commands.inspection_page import Section
from fishcnn.commands.label_report import LabelReport
from fishcnn.commands.page_images import inline_photo
from fishcnn.plots.duplicate_sheet import restored
from fishcnn.plots.label_sheet import ON_A_PAGE
from fishcnn.utils.text import percent

_NAMED = 5


def label_section(report: LabelReport, table: Path, sheets: Sequence[str]) -> Section:
    """The section of the page: the most doubtful images, with both classes."""
    images, doubts = report.images, report.doubts(ON_A_PAGE)
    squares = images.pixels[np.array([doubt.row for doubt in doubts], np.int64)]
    shown = [
        (
            number,
            inline_photo(Image.fromarray(restored(square, float(images.aspect[doubt.row])))),
            doubt.path,
            doubt.given,
            doubt.likely,
            percent(doubt.confidence, 0),
        )
        for number, (doubt, square) in enumerate(zip(doubts, squares, strict=True), start=1)
    ]
    lines = report.lines()
    if shown:
        lines.append("In red the class that an image has now, below it the one that it may show.")
    if sheets:
        lines.append(f"To print: {', '.join(sheets)} beside this page.")
    more = int(report.issues.suspect.sum()) - len(shown)
    left = f"And {more:,} more, which {table.name} has." if more > 0 else ""
    to_do = " ".join(report.to_do(table))
    return Section("Labels that may be wrong", lines, to_do, doubts=shown, more=left)


def label_lines(report: LabelReport, table: Path) -> list[str]:
    """For the terminal: what was found, the first rows, and what to do."""
    first = [
        f"{doubt.path}: {doubt.likely} {percent(doubt.confidence, 0)}, not {doubt.given}?"
        for doubt in report.doubts(_NAMED)
    ]
    words, setting = report.to_do(table)
    return [" ".join(report.lines()), *first, words, setting]
