"""Any mode of Pillow to RGB, strip by strip, so that large images need little more than room."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.decoding.file_bytes import UnreadableImage

# Pixels that are converted at a time.
_STRIP = 2**20
# Largest values of cameras and microscopes with 8, 10, 12 and 14 bits.
_WHITE_LEVELS = (255, 1023, 4095, 16383)
# Of the pixels brighter than the average, the share that hot ones are not.
_NOT_HOT = 0.999
# These have a white level of their own, which Pillow has brought to 65535.
_SCALED_BY_PILLOW = ("PPM", "JPEG2000")
_MAX_SAMPLE_VALUE = 281  # TIFF 6.0


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB without clipping bright greys or showing what was transparent.

    Greys of more than 8 bits have the white level that the file states, or else the smallest of
    255, 1023, 4095, 16383 and 65535 that hardly a pixel exceeds: a 12-bit camera in a 16-bit file
    would be nearly black otherwise, and a single hot pixel would keep it so. The level is guessed
    for each image by itself, so of a set of 16-bit images a dark one may become as bright as its
    neighbours; where absolute brightness matters, let the files state it (TIFF's MaxSampleValue),
    or bring them to 8 bits first.

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
    """Whether colours of 16 bits, of which an RGB(A) image holds the high bytes, have only 14."""
    counts = np.array(image.histogram()).reshape(-1, 256)
    return _brightest(counts[:3].sum(axis=0)) < 64


def with_low_bytes(high: Image.Image, low: Image.Image) -> Image.Image:
    """Bring colours of 14 bits or less, which were stored in 16, to 8 bits, from their two bytes.

    Args:
        high: RGB or RGBA, the high bytes. Alpha has a white level of its own.
        low: The low bytes, alike.
    """

    def levels(channels: slice) -> Iterator[NDArray[np.uint32]]:
        for upper, lower in zip(_strips(high), _strips(low), strict=True):
            yield upper[..., channels].astype(np.uint32) * 256 + lower[..., channels]

    scaled = Image.new(high.mode, high.size)
    parts = [slice(0, 3), slice(3, 4)][: len(high.mode) - 2]
    whites = [_smallest_white(_brightest(_counts(levels(part)))) for part in parts]
    top = 0
    for strips in zip(*map(levels, parts), strict=True):
        pixels = np.dstack([_scaled(*pair) for pair in zip(strips, whites, strict=True)])
        scaled.paste(Image.fromarray(pixels), (0, top))
        top += len(pixels)
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
    return ((np.minimum(levels, white) * 255 + white // 2) // white).astype(np.uint8)


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
    return _smallest_white(_brightest(_counts(_strips(image))))


def _counts(strips: Iterable[NDArray[np.integer]]) -> NDArray[np.int64]:
    """How many pixels have each level of 16 bits."""
    counts = np.zeros(65536, np.int64)
    for strip in strips:
        counts += np.bincount(strip.ravel(), minlength=65536)
    return counts


def _brightest(counts: NDArray[np.int64]) -> int:
    """The brightest level but for a few hot pixels, from how many have each level.

    Of the brighter pixels alone: a small fish on black is a smaller share of all than hot ones are.
    """
    levels = np.arange(len(counts))
    average = (counts * levels).sum() / counts.sum()
    bright = np.where(levels >= average, counts, 0).cumsum()
    return int(np.searchsorted(bright, _NOT_HOT * bright[-1]))


def _smallest_white(brightest: int) -> int:
    return next((white for white in _WHITE_LEVELS if brightest <= white), 65535)
