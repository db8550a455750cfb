"""Photographs for people: small enough for a page, and with a map laid over them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.plots.cam_sheet import overlay
from fishcnn.utils.errors import FishError


def photograph(path: Path, long_side: int) -> Image.Image:
    """Read an image, and reduce it to a longer side of this many pixels if it is larger.

    Raises:
        FishError: it can no longer be read.
    """
    try:
        image = read_image(path, long_enough_for=long_side)
    except UnreadableImage as error:
        raise FishError(f"{path}: {error.reason}") from error
    image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    return image


def under_map(image: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Lay a map over an image of any shape, which the network saw squashed to the map's.

    Args:
        image: RGB.
        heat: ``(H, W)`` in [0, 1].
    """
    stretched = Image.fromarray(heat).resize(image.size, Image.Resampling.BILINEAR)
    mixed = overlay(np.asarray(image, dtype=np.float32) / 255, np.asarray(stretched))
    return Image.fromarray((mixed * 255 + 0.5).astype(np.uint8))
