"""Any mode of Pillow to RGB, strip by strip, so that large images need little more than room."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.decoding.file_bytes import UnreadableImage

# Pixels that are converted at a time.
_STRIP = 2**20
# Largest values of cameras and microscopes with 8, 10 and 12 bits.
_WHITE_LEVELS = (255, 1023, 4095)
# These have a white level of their own, which Pillow has brought to 65535.
_SCALED_BY_PILLOW = ("PPM", "JPEG2000")
_MAX_SAMPLE_VALUE = 281  # TIFF 6.0


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB without clipping bright greys or showing what was transparent.

    Greys of more than 8 bits have the white level that the file states, or else the smallest of
    255, 1023, 4095 and 65535 that is nowhere exceeded: a 12-bit camera in a 16-bit file would be
    nearly black otherwise.

    Raises:
        UnreadableImage: The white level is unknown.
    """
    if image.mode.startswith("I"):
        white = _white_level(image)
        return _in_strips(image, lambda strip: _grey_to_rgb(strip, white))
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels, whose white level is unknown")
    if image.has_transparency_data:
        return _in_strips(image, _on_white)
    return image if image.mode == "RGB" else image.convert("RGB")


def is_almost_black(image: Image.Image) -> bool:
    """Whether colours of 16 bits, of which an RGB(A) image holds the high bytes, have only 12."""
    return max(int(strip[..., :3].max()) for strip in _strips(image)) < 16


def with_low_bytes(high: Image.Image, low: Image.Image) -> Image.Image:
    """Bring colours of 12 bits or less, which were stored in 16, to 8 bits, from their two bytes.

    Args:
        high: RGB or RGBA, the high bytes.
        low: The low bytes, alike. Alpha is of ``high`` alone.
    """

    def levels() -> Iterator[NDArray[np.uint32]]:
        for upper, lower in zip(_strips(high), _strips(low), strict=True):
            yield upper[..., :3].astype(np.uint32) * 256 + lower[..., :3]

    white = _smallest_white(max(int(strip.max()) for strip in levels()))
    scaled = Image.new("RGB", high.size)
    top = 0
    for strip in levels():
        scaled.paste(Image.fromarray(_scaled(strip, white)), (0, top))
        top += len(strip)
    if high.mode == "RGBA":
        scaled.putalpha(high.getchannel("A"))
    return scaled


def _in_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    converted = Image.new("RGB", image.size)
    for box in _boxes(image):
        converted.paste(convert(image.crop(box)), box)
    return converted


def _boxes(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        yield (0, top, image.width, min(top + rows, image.height))


def _strips(image: Image.Image) -> Iterator[NDArray[np.unsignedinteger]]:
    return (np.asarray(image.crop(box)) for box in _boxes(image))


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def _grey_to_rgb(image: Image.Image, white: int) -> Image.Image:
    # Pillow's own conversion of 0..65535 clips at 255.
    return Image.fromarray(_scaled(np.asarray(image).astype(np.uint32), white)).convert("RGB")


def _scaled(levels: NDArray[np.uint32], white: int) -> NDArray[np.uint8]:
    return ((levels * 255 + white // 2) // white).astype(np.uint8)


def _white_level(image: Image.Image) -> int:
    """The level, of greys of 16 or 32 bits, that is white."""
    darkest = min(int(strip.min()) for strip in _strips(image))
    brightest = max(int(strip.max()) for strip in _strips(image))
    if darkest < 0 or brightest > 65535:
        raise UnreadableImage("32-bit pixels, whose white level is unknown")
    if image.format in _SCALED_BY_PILLOW:
        return 65535
    stated = getattr(image, "tag_v2", {}).get(_MAX_SAMPLE_VALUE)
    stated = stated[0] if isinstance(stated, tuple) and stated else stated
    if isinstance(stated, int) and max(brightest, 254) < stated <= 65535:
        return stated
    return _smallest_white(brightest)


def _smallest_white(brightest: int) -> int:
    return next((white for white in _WHITE_LEVELS if brightest <= white), 65535)
