"""One image file to one upright RGB image, whatever is in the file.

The content decides what a file is, never its suffix. A file that cannot be read whole raises
UnreadableImage; half an image is never returned.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.Image import Transpose

# EXIF 2.32, tag 0x0112: how the stored image has to be turned to stand upright.
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)


class UnreadableImage(Exception):
    """An image file that cannot be decoded whole, for a ``reason`` such as "empty file"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_image(path: Path, *, long_enough_for: int | None) -> Image.Image:
    """Read an image as upright RGB, silently and from any thread.

    EXIF orientation is applied, transparency is laid on white, 16-bit greys are scaled to 8 bits
    and of an animation the first frame is taken.

    Args:
        path: The file.
        long_enough_for: Pixels that the shorter side must keep at least. JPEGs are then decoded at
            1/2, 1/4 or 1/8 scale where that is still enough, which is several times faster. None
            decodes at full size. Images that are smaller to begin with are not enlarged.

    Raises:
        UnreadableImage: The file is missing, empty, truncated, not an image, or too large for
            Pillow's limit against decompression bombs.
    """
    return decode_image(read_bytes(path), long_enough_for=long_enough_for)[0]


def read_bytes(path: Path) -> bytes:
    """Read a file that should hold an image.

    Raises:
        UnreadableImage: The file is missing, or may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(_reason(error)) from error


def decode_image(
    content: bytes, *, long_enough_for: int | None
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode the content of a file as :func:`read_image` does.

    Returns:
        The image, and the width and height in pixels of the upright image before any reduction.
    """
    if not content:
        raise UnreadableImage("empty file")
    with _pillow_is_quiet():
        try:
            with Image.open(io.BytesIO(content)) as file:
                full_size = file.size
                if long_enough_for is not None:
                    file.draft(None, (long_enough_for, long_enough_for))
                file.load()
                image, swaps_sides = _upright(file)
        except UnreadableImage:
            raise
        # Pillow's format readers raise almost any type on broken bytes: OSError, SyntaxError,
        # ValueError, struct.error, ...
        except Exception as error:
            raise UnreadableImage(_reason(error)) from error
    return image, (full_size[1], full_size[0]) if swaps_sides else full_size


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn an image in memory into what :func:`read_image` gives.

    Raises:
        UnreadableImage: The mode has no known white level.
    """
    return _upright(image)[0]


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return the image as upright RGB, and whether that swapped its width and height."""
    try:
        # After loading: a PNG may hold its EXIF behind the pixels, and a TIFF that Pillow has
        # already turned no longer says so.
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF, again of almost any type, is no reason to drop a good image
        orientation = 1
    image = _to_rgb(image)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return image, orientation in _SWAPS_SIDES


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB without clipping bright greys or showing what was transparent."""
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise UnreadableImage("32-bit pixels, whose white level is unknown")
        # Pillow's own conversion of 0..65535 clips at 255.
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode == "F":
        raise UnreadableImage("floating-point pixels, whose white level is unknown")
    if image.has_transparency_data:
        on_white = Image.new("RGBA", image.size, "white")
        on_white.alpha_composite(image.convert("RGBA"))
        return on_white.convert("RGB")
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    """Say in a few words why Pillow gave up."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image in any known format"
    if isinstance(error, Image.DecompressionBombError):
        return "more pixels than Pillow's limit against decompression bombs"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).strip().split("\n")[0]
    if "truncated" in text.lower():
        return "truncated"
    return text[:80] or type(error).__name__


_quiet_lock = threading.Lock()
_quiet_readers = 0
_quiet_filters = ExitStack()


@contextmanager
def _pillow_is_quiet() -> Iterator[None]:
    """Ignore Pillow's warnings about odd but readable files.

    catch_warnings() swaps a list that belongs to the whole process. Threads that overlap would put
    back each other's lists, so the first one in swaps and the last one out restores.
    """
    global _quiet_readers
    with _quiet_lock:
        _quiet_readers += 1
        if _quiet_readers == 1:
            _quiet_filters.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_readers -= 1
            if _quiet_readers == 0:
                _quiet_filters.close()
