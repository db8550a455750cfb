"""What the tags of a TIFF file say that Pillow takes on trust."""

import zlib

from PIL.TiffImagePlugin import TiffImageFile

from fishcnn.data.decoding.file_bytes import UnreadableImage
from fishcnn.data.decoding.pixel_limit import check_size

# TIFF 6.0.
_BITS, _COMPRESSION, _PLANES = 258, 259, 284
_STRIPS, _TILES = (273, 279), (324, 325)
_DEFLATED = (8, 32946)
# Bytes of the pixels that are unpacked at a time.
_UNPACKED = 2**20
_TILE_SIZE = (322, 323)
_IN_PLANES = 2


def check_tags(image: TiffImageFile, limit: int) -> None:
    """Refuse, before it is decoded, an open TIFF file that Pillow would decode wrong, or too large.

    Strips need no limit: those that are higher than the image are cut to it.

    Raises:
        UnreadableImage: Its tiles have more pixels than the limit, or its colours of 16 bits are
            stored one after the other, which Pillow takes for 8 bits.
    """
    tags = image.tag_v2
    width, height = (tags.get(tag, 1) for tag in _TILE_SIZE)
    check_size((width, height), limit, what=" in a tile")
    deep = max(_numbers(tags.get(_BITS, 8))) > 8
    # Where the data are compressed, libtiff puts the colours together first.
    if deep and tags.get(_PLANES) == _IN_PLANES and len(image.tile) > 1:
        raise UnreadableImage("a 16-bit TIFF with separate colour planes, which is not supported")


def check_unpacked(image: TiffImageFile, content: bytes) -> None:
    """Check the checksums of a deflated TIFF file that holds zeros, which libtiff leaves out.

    Raises:
        UnreadableImage: One is wrong.
    """
    tags = image.tag_v2
    if tags.get(_COMPRESSION) not in _DEFLATED:
        return
    offsets, counts = _STRIPS if _STRIPS[0] in tags else _TILES
    for start, count in zip(_numbers(tags[offsets]), _numbers(tags[counts]), strict=False):
        packed = content[start : start + count]
        if bytes(64) in packed and not _is_whole(packed):
            raise UnreadableImage("damaged: a part of its pixels was overwritten")


def is_uncompressed(image: TiffImageFile) -> bool:
    """Whether the pixels of an open file are bytes of it."""
    return image.tag_v2.get(_COMPRESSION) == 1


def _is_whole(packed: bytes) -> bool:
    unpacking = zlib.decompressobj()
    try:
        while packed and not unpacking.eof:
            unpacking.decompress(packed, _UNPACKED)
            packed = unpacking.unconsumed_tail
    except zlib.error:
        return False
    return unpacking.eof


def _numbers(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)
