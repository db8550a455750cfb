"""Drawings: one of each image, at its own shape, and sheets of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.question import Question
from fishcnn.commands.page_images import read_photo
from fishcnn.data.decoding.resize import SQUASH
from fishcnn.plots.cam_sheet import (
    TILE_GAP,
    about_maps,
    jet_colours,
    overlay,
    panel_sheet,
    remark,
)
from fishcnn.utils.text import percent

LONG_SIDE = 320  # pixels of a panel: fins can be told apart, and six panels fit on a screen
SHORT_SIDE = 64  # and of a panorama's shorter side
LONGEST = 480
NARROWEST = 150  # pixels: three of these have room for a caption
SHEET_SIDE = 160

Pixels = NDArray[np.uint8]
Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """One image of a sheet.

    Attributes:
        panels: uint8 ``(P, SHEET_SIDE, SHEET_SIDE, 3)``.
        remarks: P times what stands on the panel.
        caption: its lines, red if it is wrong.
    """

    panels: Pixels
    remarks: list[str]
    caption: list[str]
    wrong: bool


def photograph(path: Path, resize: str = SQUASH) -> Image.Image:
    """Read an image at the size of a panel, at its own shape, or as a network sees it.

    Raises:
        FishError: it can no longer be read.
    """
    image = read_photo(path, LONG_SIDE, resize)
    longer, shorter = max(image.size), min(image.size)
    scale = min(max(LONG_SIDE / longer, SHORT_SIDE / shorter), LONGEST / longer)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def drawing(photo: Image.Image, maps: Maps, row: Row, question: Question) -> Figure:
    """Draw an image, its heat map and the overlay; of several layers, one column for each.

    The image is RGB of any shape, which the network saw as a square, that of the maps,
    ``(L, S, S)`` in [0, 1].
    """
    original, heats, overlays = _panels(photo, maps, question.overlay)
    panels = [original, *heats, *overlays]
    if len(maps) > 1:
        panels = [_above(original, original), *map(_above, heats, overlays)]
    width = max(photo.width, NARROWEST)
    then = ", ".join(f"{percent(share, 0)} {name}" for name, share in row.top[1:])
    caption = [*_classes(row), *([f"then {then}"] if then else []), _map_line(row, question)]
    return panel_sheet(
        np.stack([_on_white(panel, panel.shape[0], width) for panel in panels])[None],
        _panel_names(question),
        [caption],
        row.name,
        wrong=[row.wrong],
        remarks=[_remarks(maps)],
        note=about_panels(question),
    )


def named_panels(photo: Image.Image, maps: Maps, question: Question) -> dict[str, Pixels]:
    """Make the panels of one row: the image, its heat map and the overlay, or one for each layer.

    Takes what :func:`drawing` takes.
    """
    original, heats, overlays = _panels(photo, maps, question.overlay)
    panels = [original, *(heats if len(maps) == 1 else []), *overlays]
    return dict(zip(_panel_names(question), panels, strict=True))


def tile(photo: Image.Image, maps: Maps, row: Row, question: Question, about: str = "") -> Tile:
    """Make an image ready for a sheet: small, at its own shape on a white square.

    Takes what :func:`drawing` takes, and what the image stands for.
    """
    photo = photo.copy()
    photo.thumbnail((SHEET_SIDE, SHEET_SIDE), Image.Resampling.LANCZOS)
    panels = named_panels(photo, maps, question).values()
    caption = [f"{about} {row.name}".strip(), *_classes(row)]
    if question.names_its_class:
        caption.append(_map_line(row, question))
    square = np.stack([_on_white(panel, SHEET_SIDE, SHEET_SIDE) for panel in panels])
    return Tile(square, _remarks(maps), caption, row.wrong)


def sheet(tiles: Sequence[Tile], question: Question, title: str) -> Figure:
    """Draw several images; at least one."""
    lines = max(len(one.caption) for one in tiles)
    return panel_sheet(
        np.stack([one.panels for one in tiles]),
        _panel_names(question),
        [[*one.caption, *[""] * (lines - len(one.caption))] for one in tiles],
        title,
        wrong=[one.wrong for one in tiles],
        remarks=[one.remarks for one in tiles],
        note=about_panels(question),
    )


def about_panels(question: Question) -> str:
    """What stands below the panels."""
    return about_maps(question.in_words, question.overlay, question.cells)


def _panel_names(question: Question) -> tuple[str, ...]:
    """What stands above the panels."""
    layers = question.layers
    return ("original", *(("heat map", "overlay") if len(layers) == 1 else layers))


def _remarks(maps: Maps) -> list[str]:
    """What stands on the panels."""
    said = [remark(heat) for heat in maps]
    return ["", *said, ""] if len(maps) == 1 else ["", *said]


def _panels(
    photo: Image.Image, maps: Maps, style: str
) -> tuple[Pixels, list[Pixels], list[Pixels]]:
    """The image, its heat maps and overlays, all ``(H, W, 3)`` of the image's size."""
    pixels = np.asarray(photo, dtype=np.float32) / 255
    heats, overlays = [], []
    for heat in maps:
        stretched = np.asarray(
            Image.fromarray(np.nan_to_num(heat)).resize(photo.size, Image.Resampling.BILINEAR)
        )
        heats.append(_to_bytes(jet_colours(stretched)))
        overlays.append(_to_bytes(overlay(pixels, stretched, style)))
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
    return [*known, f"predicted {percent(share, 0)}: {name}"]


def _map_line(row: Row, question: Question) -> str:
    """What the map is of, for people."""
    asked = f"for {row.map_of}" if question.method.looks_at_class else question.in_words
    layer = f" at {question.layers[0]}" if len(question.layers) == 1 else ""
    return f"{question.method.name}{layer}: {asked}"
