"""What of a PNG file is an image, and whether it is undamaged."""

import struct
import zlib
from collections.abc import Iterator

from fishcnn.data.decoding.file_bytes import UnreadableImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Of the chunks that a decoder may pass over, by a small first letter, these change what is seen.
_SEEN = (b"tRNS", b"eXIf")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Where older programs keep the orientation.
_ORIENTED = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"XML:com.adobe.xmp\0")
# Samples of a pixel by colour type, and the passes of interlaced files: the first column and line,
# and the steps to the next ones (PNG, third edition, 11.2.1 and 8.1).
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
# Bytes of such a text, packed and unpacked; Pillow takes up to a megabyte.
_LONGEST_TEXT = 2**16
_UNPACKED = 2**20
# Bytes of the pixels that are unpacked at a time.
_PIECE = 2**16


def without_metadata(content: bytes) -> bytes:
    """Leave out of a PNG file what does not change the image: texts, profiles, later frames.

    Pillow gives up on large ones; they may be of any size.

    Raises:
        UnreadableImage: The file ends too early, or a checksum of the pixels is wrong.
    """
    view = memoryview(content)
    kept = [view[: len(SIGNATURE)]]
    for kind, data, chunk in _chunks(view):
        if kind[:1].isupper() or kind in _SEEN:
            if zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:]):
                kept.append(chunk)
            elif kind != b"eXIf":
                raise UnreadableImage(f"damaged: the checksum of its {kind.decode()} is wrong")
        elif kind in _TEXTS and _is_small_orientation(kind, bytes(data[: _LONGEST_TEXT + 1])):
            kept.append(chunk)
    return b"".join(kept)


def check_enough(content: bytes) -> None:
    """Check that a PNG file holds as many lines as it says; Pillow leaves the others black.

    Raises:
        UnreadableImage: It holds fewer.
    """
    kinds = [(kind, data) for kind, data, _ in _chunks(memoryview(content))]
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", kinds[0][1])
    bits = depth * _SAMPLES[colour]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * bits + 7) // 8)
    unpacking = zlib.decompressobj()
    for data in (data for kind, data in kinds if kind == b"IDAT"):
        for at in range(0, len(data), _PIECE):
            rest: bytes | memoryview = data[at : at + _PIECE]
            while rest and expected > 0:
                expected -= len(unpacking.decompress(rest, _UNPACKED))
                rest = unpacking.unconsumed_tail
    if expected - len(unpacking.flush()) > 0:
        raise UnreadableImage("damaged: a part of its pixels is missing")


def is_interlaced(content: bytes) -> bool:
    """Whether the lines of a PNG file come in another order than from top to bottom."""
    return content[28:29] == b"\1"


def _chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Yield the name, the data and the whole of each chunk, up to the last one."""
    at = len(SIGNATURE)
    while at < len(view):
        end = at + 12 + int.from_bytes(view[at : at + 4])
        kind = bytes(view[at + 4 : at + 8])
        if not kind.isalpha() and len(kind) == 4:
            raise UnreadableImage("damaged: something else than a PNG chunk between its chunks")
        if end > len(view):
            raise UnreadableImage("truncated")
        yield kind, view[at + 8 : end - 4], view[at:end]
        if kind == b"IEND":
            return
        at = end


def _is_small_orientation(kind: bytes, text: bytes) -> bool:
    keyword = next((word for word in _ORIENTED if text.startswith(word)), None)
    if keyword is None or len(text) > _LONGEST_TEXT:
        return False
    packed = text[len(keyword) :]
    if kind == b"iTXt" and packed[:1] == b"\1":
        packed = packed[2:].split(b"\0", 2)[-1]
    elif kind == b"zTXt":
        packed = packed[1:]
    else:
        return True
    try:
        unpacking = zlib.decompressobj()
        unpacking.decompress(packed, _UNPACKED)
    except zlib.error:
        return False
    return unpacking.eof
