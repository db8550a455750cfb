"""Drawings: one of each picture, at its own shape, and a sheet of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from fishcnn.cam.methods import METHODS
from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.question import Question
from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.plots.cam_sheet import TILE_GAP, jet_colours, overlay, panel_sheet, remark
from fishcnn.utils.errors import FishError

LONG_SIDE = 320  # pixels of a panel: fins can be told apart, and six panels fit on a screen
SHORT_SIDE = 64  # and of a panorama's shorter side
LONGEST = 480
NARROWEST = 150  # pixels: three of these have room for a caption
SHEET_SIDE = 160

NOTE = "blue is no evidence for the class in question, red the strongest"

Pixels = NDArray[np.uint8]
Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Attributes:
        panels: uint8 ``(P, SHEET_SIDE, SHEET_SIDE, 3)``.
        remarks: P times what stands on the panel.
        caption: lines; the same number on a whole sheet.
        wrong: whether the caption is red.
    """

    panels: Pixels
    remarks: tuple[str, ...]
    caption: tuple[str, ...]
    wrong: bool


def photograph(path: Path) -> Image.Image:
    """Read a picture at the size of a panel, at its own shape.

    Raises:
        FishError: it can no longer be read.
    """
    try:
        picture = read_image(path, long_enough_for=LONG_SIDE)
    except UnreadableImage as error:
        raise FishError(f"{path}: {error.reason}") from error
    longer, shorter = max(picture.size), min(picture.size)
    scale = min(max(LONG_SIDE / longer, SHORT_SIDE / shorter), LONGEST / longer)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def drawing(photo: Image.Image, maps: Maps, row: Row, question: Question) -> Figure:
    """Draw a picture, its heat map and the overlay; of several layers, one column for each.

    Args:
        photo: RGB of any shape, which the network saw squashed to the maps'.
        maps: ``(L, S, S)`` in [0, 1].
        row: what the network made of it.
        question: what was asked.
    """
    original, heats, overlays = _panels(photo, maps)
    said = [remark(heat) for heat in maps]
    if len(maps) == 1:
        tiles, remarks = np.stack([original, heats[0], overlays[0]]), ["", said[0], ""]
    else:
        tiles = np.stack(
            [_above(original, original), *map(_above, heats, overlays)],
        )
        remarks = ["", *said]
    width = max(tiles.shape[2], NARROWEST)
    tiles = np.stack([_on_white(panels, panels.shape[0], width) for panels in tiles])
    caption = _classes(row)
    if len(row.top) > 1:
        caption.append("then " + ", ".join(f"{share:.0%} {name}" for name, share in row.top[1:]))
    caption.append(_map_line(row, question))
    return panel_sheet(
        tiles[None],
        panel_names(question),
        [caption],
        Path(row.path).name,
        wrong=[row.wrong],
        remarks=[remarks],
        note=NOTE,
    )


def tile(photo: Image.Image, maps: Maps, row: Row, question: Question, number: str = "") -> Tile:
    """Make a picture ready for a sheet: small, at its own shape on a white square.

    Args:
        photo: as for :func:`drawing`.
        maps: likewise.
        row: likewise.
        question: likewise.
        number: what the picture is called elsewhere, or "".
    """
    photo = photo.copy()
    photo.thumbnail((SHEET_SIDE, SHEET_SIDE), Image.Resampling.LANCZOS)
    original, heats, overlays = _panels(photo, maps)
    said = [remark(heat) for heat in maps]
    if len(maps) == 1:
        panels, remarks = [original, heats[0], overlays[0]], ["", said[0], ""]
    else:
        panels, remarks = [original, *overlays], ["", *said]
    caption = [f"{number} {Path(row.path).name}".strip(), *_classes(row)]
    if question.names_its_class:
        caption.append(_map_line(row, question))
    square = np.stack([_on_white(panel, SHEET_SIDE, SHEET_SIDE) for panel in panels])
    return Tile(square, tuple(remarks), tuple(caption), row.wrong)


def sheet(tiles: Sequence[Tile], question: Question, title: str) -> Figure:
    """Draw several pictures; at least one."""
    lines = max(len(one.caption) for one in tiles)
    return panel_sheet(
        np.stack([one.panels for one in tiles]),
        panel_names(question),
        [(*one.caption, *[""] * (lines - len(one.caption))) for one in tiles],
        title,
        wrong=[one.wrong for one in tiles],
        remarks=[one.remarks for one in tiles],
        note=NOTE,
    )


def panel_names(question: Question) -> tuple[str, ...]:
    """What stands above the panels."""
    if len(question.layers) == 1:
        return ("original", "heat map", "overlay")
    return ("original", *question.layers)


def _panels(photo: Image.Image, maps: Maps) -> tuple[Pixels, list[Pixels], list[Pixels]]:
    """The picture, its heat maps and overlays, all ``(H, W, 3)`` of the picture's size."""
    pixels = np.asarray(photo, dtype=np.float32) / 255
    heats, overlays = [], []
    for heat in maps:
        stretched = np.asarray(
            Image.fromarray(np.nan_to_num(heat)).resize(photo.size, Image.Resampling.BILINEAR)
        )
        heats.append(_to_bytes(jet_colours(stretched)))
        overlays.append(_to_bytes(overlay(pixels, stretched)))
    return np.asarray(photo), heats, overlays


def _to_bytes(colours: Maps) -> Pixels:
    return (colours * 255 + 0.5).astype(np.uint8)


def _above(upper: Pixels, lower: Pixels) -> Pixels:
    gap = np.full((TILE_GAP, upper.shape[1], 3), 255, np.uint8)
    return np.concatenate([upper, gap, lower])


def _on_white(panel: Pixels, height: int, width: int) -> Pixels:
    """Lay a panel on white, in the middle below its caption."""
    white = np.full((height, width, 3), 255, np.uint8)
    left = (width - panel.shape[1]) // 2
    white[: panel.shape[0], left : left + panel.shape[1]] = panel
    return white


def _classes(row: Row) -> list[str]:
    """Lines with true and predicted class; the share comes first, as long names are cut."""
    name, share = row.top[0]
    known = [] if row.true is None else [f"true: {row.true}"]
    return [*known, f"predicted {share:.0%}: {name}"]


def _map_line(row: Row, question: Question) -> str:
    """What the map is of, for people."""
    looks_at_class = METHODS[question.method].looks_at_class
    asked = f"for {row.map_of}" if looks_at_class else "what stands out, whatever the class"
    layer = f" at {question.layers[0]}" if len(question.layers) == 1 else ""
    return f"{question.method}{layer}: {asked}"
