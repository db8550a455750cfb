"""The Grad-CAM sheet: images, heat maps and overlays with what the network made of them."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
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
from fishcnn.plots.fonts import label_fonts, shorten, text_width
from fishcnn.plots.page import Page
from fishcnn.utils.text import percent

Floats = npt.NDArray[np.floating]

# Ways to lay a heat map over an image: as much of its colour as there is evidence, or as much
# everywhere.
EVIDENCE, BLEND = OVERLAYS = ("evidence", "blend")
BLENDED = 0.4  # the heat map's share of a blend; the other 0.6 is the image
STRONGEST = 0.6  # its share where there is most evidence
MIN_TILE = 128  # screen pixels: below that a fish's fins cannot be told apart
SHEET_ASPECT = 1.6  # width to height, about that of a screen
TILE_GAP, TRIPLE_GAP, ROW_GAP = 4, 26, 16  # pixels
FEWEST_CELLS = 4  # along a side of a map; of fewer, one covers half a fish

_JET = matplotlib.colormaps["jet"](np.arange(256))[:, :3].astype(np.float32)


def jet_colours(maps: Floats) -> npt.NDArray[np.float32]:
    """Colour values from 0 (blue) to 1 (red); others are clipped, and NaN counts as 0.

    Returns:
        The shape of the maps with a last axis of 3, RGB in [0, 1].
    """
    index = np.minimum(np.clip(np.nan_to_num(maps), 0, 1) * 256, 255)
    colours: npt.NDArray[np.float32] = _JET[index.astype(np.uint8)]
    return colours


def overlay(images: Floats, maps: Floats, style: str = EVIDENCE) -> npt.NDArray[np.float32]:
    """Lay the colours of maps (..., H, W) over images (..., H, W, 3), all in [0, 1].

    An image keeps its own colours where its map is 0, unless the style is ``"blend"``.
    """
    share: Floats | float = BLENDED
    if style == EVIDENCE:
        share = STRONGEST * np.clip(np.nan_to_num(maps), 0, 1)[..., None]
    mixed = (1 - share) * images + share * jet_colours(maps)
    return np.asarray(mixed, dtype=np.float32)


def about_maps(of: str, style: str = EVIDENCE, cells: Sequence[tuple[int, int]] = ()) -> str:
    """Say in short lines what the colours of maps mean, and how coarse maps are.

    Args:
        of: what they are of, such as "what speaks for the predicted class".
        style: of the overlays, one of OVERLAYS.
        cells: heights and widths of the maps in cells, if they are known. Maps are enlarged
            smoothly to the size of the image: the smallest spot is a cell.
    """
    own = ", and in an overlay the image's own colours" if style == EVIDENCE else ""
    said = f"Red: most of {of}.\nBlue{own}: none of it."
    if not cells:
        return said
    sizes = ", ".join(f"{width} x {height}" for height, width in cells)
    said += f"\n{'Map' if len(cells) == 1 else 'Maps'} of {sizes} cells"
    if min(map(min, cells)) >= FEWEST_CELLS:
        return f"{said}."
    which = "" if len(cells) == 1 else " the last are"
    return (
        f"{said}:{which} too coarse to tell parts of a fish apart.\n"
        "Look at an earlier layer, or train with a larger image_size or fewer blocks."
    )


def grad_cam_sheet(
    images: Floats,
    maps: Floats,
    true_names: Sequence[str],
    predicted_names: Sequence[str],
    probabilities: Sequence[float] | Floats,
    title: str,
    *,
    cells: tuple[int, int] | None = None,
    style: str = EVIDENCE,
    narrow: bool = False,
) -> Figure:
    """Draw every image as original, heat map and overlay, with what the network made of it.

    A caption is red where the prediction is wrong.

    Args:
        images: (N, H, W, 3), RGB in [0, 1], N ≥ 1. Small ones are enlarged and large ones reduced
            by a whole factor, to 128 pixels or more on the sheet.
        maps: (N, H, W), in [0, 1]: the evidence for the predicted class. On a map of zeros stands
            "no positive evidence".
        true_names: N class names.
        predicted_names: N class names.
        probabilities: N probabilities of the predicted class, in [0, 1].
        title: Headline of the sheet.
        cells: Height and width of the maps in cells, before they were enlarged.
        style: Of the overlays, one of OVERLAYS.
        narrow: Whether all stand below each other, small enough for a card of TensorBoard.

    Raises:
        ValueError: If the arguments do not agree in N, H and W, or N is 0.
    """
    count = len(images)
    lengths = {count, len(true_names), len(predicted_names), len(probabilities)}
    if not count or len(lengths) > 1 or images.shape[:3] != maps.shape:
        raise ValueError("A sheet needs one map, two names and one probability for each image.")
    families = label_fonts([*true_names, *predicted_names])
    images = np.clip(np.nan_to_num(images), 0, 1)
    panels = np.stack([images, jet_colours(maps), overlay(images, maps, style)], axis=1)
    resized = to_card_size if narrow else to_screen_size
    tiles = resized((panels * 255 + 0.5).astype(np.uint8))
    width = 3 * tiles.shape[3] + 2 * TILE_GAP
    return panel_sheet(
        tiles,
        ("original", "heat map", "overlay"),
        _captions(true_names, predicted_names, probabilities, width, families),
        title,
        wrong=[true != guess for true, guess in zip(true_names, predicted_names, strict=True)],
        remarks=[("", remark(heat_map), "") for heat_map in maps],
        note=about_maps("what speaks for the predicted class", style, [cells] if cells else []),
        columns=1 if narrow else None,
    )


def panel_sheet(
    tiles: npt.NDArray[np.uint8],
    names: Sequence[str],
    captions: Sequence[Sequence[str]],
    title: str,
    *,
    wrong: Sequence[bool],
    remarks: Sequence[Sequence[str]],
    note: str,
    columns: int | None = None,
) -> Figure:
    """Draw several panels of each image side by side, pixel for pixel.

    Args:
        tiles: (N, P, H, W, 3), RGB; P panels of each of N ≥ 1 images.
        names: What stands above the P panels.
        captions: Of each image, the same number of lines; cut to the width of its panels.
        title: Headline of the sheet.
        wrong: (N,) images whose caption is red.
        remarks: What stands on each of the panels, (N, P); "" for nothing.
        note: Lines that stand at the bottom.
        columns: Images side by side; None gives the sheet about the shape of a screen.
    """
    families = label_fonts([*names, *(line for lines in captions for line in lines), title, note])
    count, panels, tile_height, tile_width = tiles.shape[:4]
    width = panels * (tile_width + TILE_GAP) - TILE_GAP
    caption_height = LINE_HEIGHT * len(captions[0]) + TILE_GAP
    pitch_x, pitch_y = width + TRIPLE_GAP, caption_height + tile_height + ROW_GAP
    if columns is None:
        columns = max(1, round(math.sqrt(count * pitch_y / pitch_x * SHEET_ASPECT)))
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    top = MARGIN + 46  # headline and names of the columns
    sheet_width = columns * pitch_x - TRIPLE_GAP + 2 * MARGIN
    notes = note.split("\n")
    sheet_height = top + rows * pitch_y + LINE_HEIGHT * len(notes) + MARGIN

    page = Page(sheet_width, sheet_height, title, families)
    faint = {"color": FAINT, "ha": "center"}
    box = {"facecolor": _JET[0], "edgecolor": "none", "pad": 1.5}
    said_style = {"color": "white", "ha": "center", "va": "center", "bbox": box}
    for column in range(columns):
        for panel, name in enumerate(names):
            x = MARGIN + column * pitch_x + panel * (tile_width + TILE_GAP) + tile_width / 2
            page.write(x, top - 18, name, tile_width, NOTE_SIZE, **faint)
    for i, (panels_of_one, caption) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(i, columns)
        left, y = MARGIN + column * pitch_x, top + row * pitch_y
        colour = WRONG if wrong[i] else INK
        for line in caption:
            y += LINE_HEIGHT
            page.write(left, y - 3, line, width, CAPTION_SIZE, color=colour, va="baseline")
        y += TILE_GAP
        for tile, said in zip(panels_of_one, remarks[i], strict=True):
            page.paste(tile, left, y)
            if said:
                # The image may be narrower than the words.
                x, middle = left + tile_width / 2, y + tile_height / 2
                page.write(x, middle, said, math.inf, CAPTION_SIZE, **said_style)
            left += tile_width + TILE_GAP
    for i, line in enumerate(reversed(notes)):
        bottom = sheet_height - MARGIN - LINE_HEIGHT * i
        page.write(MARGIN, bottom, line, page.room, NOTE_SIZE, color=FAINT, va="bottom")
    return page.figure()


def to_screen_size(tiles: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Bring (N, P, H, W, 3) to a shorter side of 128 to 255 pixels by a whole factor."""
    height, width = tiles.shape[2:4]
    shorter = min(height, width)
    if shorter < MIN_TILE:
        factor = math.ceil(MIN_TILE / shorter)
        return tiles.repeat(factor, axis=2).repeat(factor, axis=3)
    factor = shorter // MIN_TILE
    if factor == 1:
        return tiles
    height, width = height // factor, width // factor
    blocks = tiles[:, :, : height * factor, : width * factor]
    blocks = blocks.reshape(*tiles.shape[:2], height, factor, width, factor, 3)
    reduced: npt.NDArray[np.uint8] = blocks.mean(axis=(3, 5)).astype(np.uint8)
    return reduced


def to_card_size(tiles: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Bring (N, P, H, W, 3) to a shorter side of about 128 pixels.

    TensorBoard scales an image to the width of a card, and its words with it: three tiles and their
    captions can be read there.
    """
    tiles = to_screen_size(tiles)
    height, width = tiles.shape[2:4]
    scale = MIN_TILE / min(height, width)
    if scale > 0.9:
        return tiles
    size = round(width * scale), round(height * scale)
    flat = [Image.fromarray(tile) for tile in tiles.reshape(-1, height, width, 3)]
    small = np.stack([np.asarray(image.resize(size, Image.Resampling.BOX)) for image in flat])
    return small.reshape(*tiles.shape[:2], size[1], size[0], 3)


def _captions(
    true_names: Sequence[str],
    predicted_names: Sequence[str],
    probabilities: Sequence[float] | Floats,
    width: int,
    families: list[str],
) -> list[list[str]]:
    """Lines of each caption: one if that fits everywhere, else two, of names cut to the width."""

    def line(before: str, name: str, after: str) -> str:
        room = width - text_width(before + after, CAPTION_SIZE, families, DPI)
        return before + shorten(name, room, CAPTION_SIZE, families, DPI) + after

    verdicts = list(zip(true_names, predicted_names, probabilities, strict=True))
    single = [f"true: {true} / predicted: {guess} {percent(p, 0)}" for true, guess, p in verdicts]
    if all(text_width(text, CAPTION_SIZE, families, DPI) <= width for text in single):
        return [[text] for text in single]
    return [
        [line("true: ", true, ""), line("predicted: ", guess, f" {percent(p, 0)}")]
        for true, guess, p in verdicts
    ]


def remark(heat_map: Floats) -> str:
    """What has to be said on a map, "" where it speaks for itself."""
    if not np.isfinite(heat_map).all():
        return "not a number"
    return "" if heat_map.any() else "no positive evidence"
