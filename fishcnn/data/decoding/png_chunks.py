"""What of a PNG file is an image, and whether it is undamaged."""

import zlib
from collections.abc import Iterator

from fishcnn.data.decoding.file_bytes import UnreadableImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Of the chunks that a decoder may pass over, by a small first letter, these change what is seen.
_SEEN = (b"tRNS", b"eXIf")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Where older programs keep the orientation.
_ORIENTED = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"XML:com.adobe.xmp\0")
# Bytes of such a text, packed and unpacked; Pillow takes up to a megabyte.
_LONGEST_TEXT = 2**16
_UNPACKED = 2**20


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
