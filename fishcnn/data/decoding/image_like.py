"""What a user of the library may call an image: a path, or an image in memory."""

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from io import IOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fishcnn.data.decoding.read import UnreadableImage, read_image, upright_rgb
from fishcnn.data.decoding.resize import Square
from fishcnn.utils.errors import ArgumentError, FishError

ImageLike = str | os.PathLike[str] | Image.Image
# Each holds something else than images, or has no order.
_NO_SERIES = (bytes, bytearray, memoryview, np.ndarray, Tensor, Mapping, Set, IOBase)


def series_of(images: ImageLike | Iterable[ImageLike]) -> Iterator[ImageLike]:
    """One image, or any series of them, as a series.

    Raises:
        ArgumentError: it is neither.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        return iter([images])
    if not isinstance(images, Iterable) or isinstance(images, _NO_SERIES):
        raise _not_an_image(images)
    return iter(images)


def decode_image_like(image: ImageLike, square: Square) -> NDArray[np.uint8]:
    """Decode one image as those of a training are: uint8 ``(S, S, 3)`` RGB.

    Raises:
        FishError: the file holds no image that can be read; the message names it.
        ArgumentError: it is neither a path nor a PIL image.
    """
    try:
        if isinstance(image, Image.Image):
            upright = upright_rgb(image)
        elif isinstance(image, str | os.PathLike):
            upright = read_image(Path(image), long_enough_for=square.side)
        else:
            raise _not_an_image(image)
    except UnreadableImage as error:
        raise FishError(f"{image}: {error.reason}") from error
    return square.of_image(upright)


def _not_an_image(value: object) -> ArgumentError:
    ways = {
        np.ndarray: "turn an array into one by PIL.Image.fromarray(array)",
        Tensor: "call the network itself: classifier(images) takes floats (N, 3, S, S) in [0, 1]",
        bytes: "open the bytes by PIL.Image.open(io.BytesIO(content))",
        IOBase: "open it by PIL.Image.open(file)",
    }
    way = next((way for kind, way in ways.items() if isinstance(value, kind)), None)
    problem = "is neither a path nor a PIL image, nor a list of these"
    shown = f"<{type(value).__name__}>"
    return ArgumentError("images", shown, f"{problem}; {way}" if way else problem)
