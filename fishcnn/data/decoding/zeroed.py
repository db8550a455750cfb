"""Whether a part of an image was overwritten with zeros: a WebP, AVIF, HEIC, JPEG 2000, or raw one.

Their decoders make something of that as well. Metadata may hold any number of zeros.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from fishcnn.data.decoding.file_bytes import UnreadableImage

_WEBP_IMAGE = (b"VP8 ", b"VP8L", b"ALPH", b"ANMF")
_METADATA = (b"Exif", b"mime", b"uri ")
# Of a flat image, the largest run was 5 % of the file.
_FEWEST, _SHARE = 1024, 8


def check_not_zeroed(content: bytes) -> None:
    """Look for zeros where such a file holds its image, in a run that no encoder writes.

    Raises:
        UnreadableImage: There is such a run.
    """
    if content[8:12] == b"WEBP":
        parts = [content[a:b] for kind, a, b in _chunks(content) if kind in _WEBP_IMAGE]
    elif content[4:8] == b"ftyp":
        parts = list(_image_data(content))
    elif content[4:8] == b"jP  ":
        parts = [content[a:b] for kind, a, b in _boxes(content, 0, len(content)) if kind == b"jp2c"]
    else:
        return
    zeros = bytes(max(_FEWEST, sum(map(len, parts)) // _SHARE))
    if any(zeros in part for part in parts):
        raise UnreadableImage("damaged: a part of it was overwritten with zeros")


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk of a RIFF file, and where its data begin and end."""
    at = 12
    while at < len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        yield content[at : at + 4], at + 8, at + 8 + size
        at += 8 + size + size % 2


def _boxes(content: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box of an ISO media file, and where its data begin and end."""
    while at < end:
        size, head = int.from_bytes(content[at : at + 4]), 8
        if size == 1:
            size, head = int.from_bytes(content[at + 8 : at + 16]), 16
        size = size if size >= head else end - at  # 0 is all the rest
        yield content[at + 4 : at + 8], at + head, min(at + size, end)
        at += size


def _image_data(content: bytes) -> Iterator[bytes]:
    """Yield the media data of an ISO media file, less the metadata among them."""
    boxes = list(_boxes(content, 0, len(content)))
    metadata = [
        extent
        for kind, start, end in boxes
        if kind == b"meta"
        for extent in _metadata(content, start + 4, end)
    ]
    for kind, start, end in boxes:
        if kind == b"mdat":
            for first, last in sorted(metadata):
                if start <= first <= last <= end:
                    yield content[start:first]
                    start = last
            yield content[start:end]


def _metadata(content: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where items that are no images begin and end (ISO/IEC 14496-12, 8.11.3 and 8.11.6)."""
    boxes = {kind: content[a:b] for kind, a, b in _boxes(content, start, end)}
    info, places = boxes.get(b"iinf", b""), boxes.get(b"iloc", b"")
    others = set()
    for kind, at, _ in _boxes(info, 6 if info[:1] == b"\0" else 8, len(info)):
        size = 4 if info[at : at + 1] == b"\3" else 2
        if kind == b"infe" and info[at + 6 + size : at + 10 + size] in _METADATA:
            others.add(int.from_bytes(info[at + 4 : at + 4 + size]))
    at = 0

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(places[at - size : at])

    version, _, sizes, more_sizes = number(1), number(3), number(1), number(1)
    number(4 if version == 2 else 2)
    while at < len(places):
        item = number(4 if version == 2 else 2)
        in_file = not version or number(2) & 15 == 0
        number(2)
        base = number(more_sizes >> 4)
        for _ in range(number(2)):
            number(more_sizes & 15 if version else 0)
            first = base + number(sizes >> 4)
            last = first + number(sizes & 15)
            if in_file and item in others:
                yield first, last


def check_rows(image: Image.Image) -> None:
    """Look for zeros in place of the last third or more of an uncompressed image.

    A black ground looks much the same. What a crash or a full disk leaves differs in that all
    is whole up to some pixel within a row and black from there on. Where the zeros begin with a
    row, or below dark pixels, or are fewer, they are not found.

    Raises:
        UnreadableImage: There are such zeros.
    """
    plain = image if image.mode in ("L", "RGB", "RGBA") else image.convert("L")
    seen = plain.getbbox(alpha_only=False)
    if seen is None:
        return
    # Of a BMP the rows go up.
    for last, before, black in (
        (seen[3] - 1, seen[3] - 2, image.height - seen[3]),
        (seen[1], seen[1] + 1, seen[1]),
    ):
        if black < image.height / 3 or not 0 <= before < image.height:
            continue
        rows = [plain.crop((0, row, image.width, row + 1)) for row in (last, before)]
        lit = [np.asarray(row).reshape(image.width, -1).max(axis=1) > 0 for row in rows]
        end = int(np.flatnonzero(lit[0])[-1]) + 1
        if end < image.width and lit[0][:end].all() and lit[1].all():
            raise UnreadableImage("damaged: black from within a row on")
