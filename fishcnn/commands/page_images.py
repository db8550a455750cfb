"""Images that lie inside a page, and photographs for it: small, and with a map laid over them."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.data.decoding.resize import SQUASH, as_seen
from fishcnn.plots.cam_sheet import overlay
from fishcnn.plots.figure import DPI, figure_to_array
from fishcnn.utils.errors import FishError


class InlineImage(NamedTuple):
    """An ``img``: its data URI, and its width on the page in pixels."""

    src: str
    width: int


def inline_chart(figure: Figure, *, dense: bool = False) -> InlineImage:
    """Draw a figure as PNG, to be shown pixel for pixel if it is dense.

    Otherwise it is shown at its size in inches, with 96 pixels each, at which its smallest letters
    are 8 pixels high on a dense screen.
    """
    image = Image.fromarray(figure_to_array(figure))
    return InlineImage(_data_uri(image, "PNG"), image.width if dense else image.width * 96 // DPI)


def inline_photo(image: Image.Image) -> str:
    """Encode an RGB image as the data URI of a JPEG."""
    return _data_uri(image, "JPEG", quality=82)


def _data_uri(image: Image.Image, kind: str, **options: int) -> str:
    file = io.BytesIO()
    image.save(file, kind, optimize=True, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def read_photo(path: Path, long_side: int, resize: str = SQUASH) -> Image.Image:
    """Read an image, upright and in RGB, of which no more than this longer side is needed.

    Of a network that sees other than whole images, it is what that sees.

    Raises:
        FishError: it can no longer be read.
    """
    try:
        image = read_image(path, long_enough_for=long_side)
    except UnreadableImage as error:
        raise FishError(f"{path}: {error.reason}") from error
    return as_seen(image, resize, most=long_side)


def under_map(image: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Lay a map, ``(H, W)`` in [0, 1], over an RGB image of any shape, as the network saw it."""
    stretched = Image.fromarray(heat).resize(image.size, Image.Resampling.BILINEAR)
    mixed = overlay(np.asarray(image, dtype=np.float32) / 255, np.asarray(stretched))
    return Image.fromarray((mixed * 255 + 0.5).astype(np.uint8))
