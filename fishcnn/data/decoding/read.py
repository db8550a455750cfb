"""One image file to one upright RGB image, whatever is in the file.

The content decides what a file is, never its suffix. A file that cannot be read whole raises
UnreadableImage; half an image is never returned.
"""

import io
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import PIL
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.Image import Transpose
from PIL.TiffImagePlugin import TiffImageFile

from fishcnn.data.decoding import jpeg_stream, png_chunks, tiff_tags
from fishcnn.data.decoding.file_bytes import UnreadableImage, read_bytes
from fishcnn.data.decoding.image_formats import check_format, readable_formats
from fishcnn.data.decoding.pixel_limit import check_size, max_pixels
from fishcnn.data.decoding.to_rgb import is_almost_black, to_rgb, with_low_bytes
from fishcnn.data.decoding.zeroed import check_not_zeroed, check_rows

__all__ = [
    "UnreadableImage",
    "decode_image",
    "decoder_version",
    "read_bytes",
    "read_image",
    "upright_rgb",
]

# Of what is decoded here and how; higher when that changes.
_VERSION = 3
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
# Of files in a format that is read, whatever else may be wrong with them.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")
_SWAPS_SIDES = (5, 6, 7, 8)


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
        UnreadableImage: The file is missing, empty, damaged, not a regular file, not an image in
            one of the formats that are read, or has more pixels than max_pixels().
    """
    return decode_image(read_bytes(path), long_enough_for=long_enough_for)[0]


def decode_image(
    content: bytes, *, long_enough_for: int | None
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode the content of a file as :func:`read_image` does.

    Returns:
        The image, and the width and height in pixels of the upright image before any reduction.
    """
    if not content:
        raise UnreadableImage("empty file")
    limit = max_pixels()
    with _pillow_is_quiet():
        try:
            if content.startswith(jpeg_stream.BEGINNING):
                return _decode_jpeg(content, long_enough_for, limit)
            if content.startswith(png_chunks.SIGNATURE):
                return _decode_png(content, long_enough_for, limit)
            check_format(content)
            check_not_zeroed(content)
            return _decode(io.BytesIO(content), long_enough_for, limit)
        except UnreadableImage:
            raise
        # Pillow's format readers raise almost any type on broken bytes: OSError, SyntaxError,
        # ValueError, struct.error, ...
        except Exception as error:
            raise UnreadableImage(_reason(error, content)) from error


def _decode_jpeg(
    content: bytes, long_enough_for: int | None, limit: int
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode a JPEG, and make sure that it is whole.

    One in several scans is decoded twice, which took 2.1 times as long as once (2.6 times at full
    size; 3000x2000 pixels, progressive): all scans have to be read again whatever the scale is.
    """
    jpeg = jpeg_stream.parse(content)
    jpeg_stream.check_structure(jpeg)
    if jpeg.in_one_scan:
        watched = jpeg_stream.WatchedJpeg(jpeg)
        decoded = _decode(watched, long_enough_for, limit)
        watched.check()
        return decoded
    # The coefficients of several scans are all kept, some 3 to 6 bytes for a pixel at full size.
    check_size(jpeg.size, limit, share=2, what=" of a JPEG in several scans")
    decoded = _decode(io.BytesIO(content), long_enough_for, limit)
    if jpeg.frame:
        probed, _ = _decode(io.BytesIO(jpeg_stream.with_probes(jpeg)), long_enough_for, limit)
        jpeg_stream.check_same(decoded[0], probed)
    return decoded


def _decode_png(
    content: bytes, long_enough_for: int | None, limit: int
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode the pixels of a PNG, and make sure that none are missing."""
    content = png_chunks.without_metadata(content)
    image, size = _decode(io.BytesIO(content), long_enough_for, limit)
    # To unpack everything again takes as long as to decode it, so only where it may be needed:
    # missing lines are of one colour.
    if png_chunks.is_interlaced(content) or _has_plain_edge(image):
        png_chunks.check_enough(content)
    return image, size


def _has_plain_edge(image: Image.Image) -> bool:
    width, height = image.size
    edges = [(0, 0, width, 1), (0, height - 1, width, height)]
    edges += [(0, 0, 1, height), (width - 1, 0, width, height)]
    return any(image.crop(edge).getcolors(1) for edge in edges)


def _decode(
    stream: io.BytesIO, long_enough_for: int | None, limit: int
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode what Pillow can identify, if it is not too large."""
    with Image.open(stream, formats=readable_formats()) as file:
        full_size = file.size
        if long_enough_for is not None:
            file.draft(None, (long_enough_for, long_enough_for))
        check_size(file.size, limit)
        if isinstance(file, TiffImageFile):
            tiff_tags.check_tags(file, limit)
        of_16_bits = file.mode in ("RGB", "RGBA") and ";16" in str(file.tile)
        file.load()
        if isinstance(file, TiffImageFile):
            tiff_tags.check_unpacked(file, stream.getvalue())
        if file.format in ("BMP", "PPM") or (
            isinstance(file, TiffImageFile) and tiff_tags.is_uncompressed(file)
        ):
            check_rows(file)
        if of_16_bits and is_almost_black(file):
            file.im = with_low_bytes(file, _low_bytes(stream)).im
        image, swaps_sides = _upright(file)
    return image, (full_size[1], full_size[0]) if swaps_sides else full_size


def _low_bytes(stream: io.BytesIO) -> Image.Image:
    """Decode colours of 16 bits, of which Pillow keeps the high byte, to their low bytes."""
    stream.seek(0)
    with Image.open(stream, formats=readable_formats()) as file:
        ends = {
            ";16B": ";16L",
            ";16L": ";16B",
            ";16N": ";16B" if sys.byteorder == "little" else ";16L",
        }
        tiles = []
        for tile in file.tile:
            rawmode, *rest = (tile.args,) if isinstance(tile.args, str) else tile.args or ("",)
            swapped = rawmode[:-4] + ends[rawmode[-4:]]
            tiles.append(tile._replace(args=(swapped, *rest) if rest else swapped))
        file.tile = tiles
        file.load()
    return file


def decoder_version() -> tuple[object, ...]:
    """What it depends on, besides the file, how an image is decoded, but not whether it can be."""
    return (_VERSION, PIL.__version__)


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
    image = to_rgb(image)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return image, orientation in _SWAPS_SIDES


def _reason(error: Exception, content: bytes) -> str:
    """Say in a few words why Pillow gave up."""
    if isinstance(error, UnidentifiedImageError):
        known = content.startswith(_BEGINNINGS) or content[4:8] in (b"ftyp", b"jP  ")
        return "damaged" if known else "not an image in any known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).strip().split("\n")[0]
    if "truncated" in text.lower():
        return "truncated"
    if text.startswith("decoder error"):
        return f"damaged ({text})"
    return text[:80] or type(error).__name__


_quiet_lock = threading.Lock()
_quiet_readers = 0
_quiet_filters = ExitStack()


@contextmanager
def _pillow_is_quiet() -> Iterator[None]:
    """Ignore Pillow's warnings about odd but readable files, and its limit: there is our own.

    Pillow looks at its limit before a JPEG is reduced. catch_warnings() swaps a list that belongs
    to the whole process, as the limit does. Threads that overlap would put back each other's, so
    the first one in swaps and the last one out restores.
    """
    global _quiet_readers
    with _quiet_lock:
        _quiet_readers += 1
        if _quiet_readers == 1:
            _quiet_filters.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
            _quiet_filters.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_readers -= 1
            if _quiet_readers == 0:
                _quiet_filters.close()
