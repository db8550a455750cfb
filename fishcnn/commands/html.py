"""Pieces of a page that needs no network: text, tables, charts and photographs inside it."""

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.plots.cam_sheet import overlay
from fishcnn.plots.figure import DPI, figure_to_array
from fishcnn.utils.errors import FishError

# Pixels of the longer side: a card is about half as wide on the screen, or less on a dense one.
PHOTO_SIDE = 320
_JPEG_QUALITY = 82


def text(value: object) -> str:
    """Escape anything for use in a page, also between quotes."""
    return html.escape(str(value))


def percent(share: float, digits: int = 1) -> str:
    """A share as a person reads it; a dash for NaN."""
    return "-" if math.isnan(share) else f"{share:.{digits}%}"


def section(title: str, *parts: str, kind: str = "") -> str:
    """A part of the page; everything is HTML.

    Args:
        title: its heading.
        parts: what stands below.
        kind: class of its frame.
    """
    return f'<section class="{kind}">\n<h2>{title}</h2>\n' + "\n".join(parts) + "\n</section>\n"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Build a table that scrolls by itself where it is too large.

    Args:
        headers: HTML of the head of each column.
        rows: HTML of each cell; a first column is text, all others are numbers.
        kind: class of its frame.
    """
    head = "".join(f'<th scope="col">{header}</th>' for header in headers)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll {kind}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def bar(share: float) -> str:
    """A number with a bar of that length behind it."""
    if math.isnan(share):
        return "-"
    return f'<span class="bar" style="--share:{share:.3f}">{percent(share, 0)}</span>'


def chart(figure: Figure, alt: str) -> str:
    """A figure as PNG at its own size on the screen; it may be as large as it needs to be."""
    pixels = figure_to_array(figure)
    # Figures are drawn for dense screens: their smallest letters are 8 pixels high.
    width = round(pixels.shape[1] * 96 / DPI)
    return image(Image.fromarray(pixels), "PNG", alt, f'width="{width}"')


def large_chart(figure: Figure, alt: str) -> str:
    """A figure as PNG, pixel for pixel."""
    pixels = figure_to_array(figure)
    return image(Image.fromarray(pixels), "PNG", alt, f'width="{pixels.shape[1]}"')


def photograph(path: Path) -> Image.Image:
    """Read a picture at the size in which a page shows it.

    Raises:
        FishError: it can no longer be read.
    """
    try:
        picture = read_image(path, long_enough_for=PHOTO_SIDE)
    except UnreadableImage as error:
        raise FishError(f"{path}: {error.reason}") from error
    picture.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
    return picture


def under_map(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Lay a map over a picture of any shape, which the network saw squashed to the map's.

    Args:
        picture: RGB.
        heat: ``(H, W)`` in [0, 1].
    """
    stretched = Image.fromarray(heat).resize(picture.size, Image.Resampling.BILINEAR)
    mixed = overlay(np.asarray(picture, dtype=np.float32) / 255, np.asarray(stretched))
    return Image.fromarray((mixed * 255 + 0.5).astype(np.uint8))


def photo(picture: Image.Image, caption: str) -> str:
    """A photograph with a caption of HTML below it."""
    shown = image(picture, "JPEG", "", "", quality=_JPEG_QUALITY)
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def image(picture: Image.Image, kind: str, alt: str, attributes: str, **options: int) -> str:
    """A picture inside the page itself.

    Args:
        picture: RGB.
        kind: ``"PNG"`` or ``"JPEG"``.
        alt: what it shows, for those who cannot see it; empty where a caption says so.
        attributes: further HTML attributes.
        options: of Pillow's writer.
    """
    file = io.BytesIO()
    picture.save(file, kind, optimize=True, **options)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img src="data:image/{kind.lower()};base64,{data}" alt="{text(alt)}" {attributes}>'
