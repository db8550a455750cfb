"""Image files in bytes, made for tests, and why one is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fishcnn.data.decoding.read import UnreadableImage, decode_image


def photo(width: int = 160, height: int = 120) -> Image.Image:
    """Something with as much detail as a photograph."""
    generator = np.random.default_rng(5)
    coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noisy = (smooth + generator.normal(0, 9, smooth.shape)).clip(0, 255)
    return Image.fromarray(noisy.astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reason(content: bytes, target: int | None = 32) -> str:
    with pytest.raises(UnreadableImage) as caught:
        decode_image(content, long_enough_for=target)
    return caught.value.reason


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    levels: np.ndarray, *, bits: int = 8, more: bytes = b"", height: int | None = None
) -> bytes:
    """A PNG of (h, w, 1, 3 or 4), with more chunks, and of another height than it says."""
    rows, columns, channels = levels.shape
    lines = levels.astype(">u2" if bits == 16 else "u1").reshape(rows, -1)
    packed = zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))
    colour = {1: 0, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", columns, height or rows, bits, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), more, chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def flat_png(width: int, height: int) -> bytes:
    """Few bytes for many pixels."""
    packing = zlib.compressobj(1)
    line = bytes(1 + 3 * width)
    data = b"".join(packing.compress(line) for _ in range(height)) + packing.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(levels: np.ndarray, *, planes: bool = False, packed: bool = False, tile: int = 0) -> bytes:
    """A TIFF of uint8 or uint16 (h, w, 1 or 3) in a strip, or in a tile of such a side."""
    height, width, channels = levels.shape
    parts = [levels[..., channel] for channel in range(channels)] if planes else [levels]
    data = [zlib.compress(part.tobytes()) if packed else part.tobytes() for part in parts]
    counts = [len(part) for part in data]
    tags = {
        **{256: [width], 257: [height], 258: [8 * levels.itemsize] * channels},
        **{259: [8 if packed else 1], 262: [2 if channels == 3 else 1], 277: [channels]},
        **{284: [2 if planes else 1]},
        **({322: [tile], 323: [tile], 324: [], 325: counts} if tile else {}),
        **({} if tile else {273: [], 278: [height], 279: counts}),
    }
    start = 8 + 2 + 12 * len(tags) + 4 + 8 * 3 * 4
    tags[324 if tile else 273] = [start + sum(counts[:at]) for at in range(len(data))]
    directory, more = struct.pack("<H", len(tags)), b""
    for tag, values in sorted(tags.items()):
        packed_values = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            place = struct.pack("<I", 8 + 2 + 12 * len(tags) + 4 + len(more))
            more += packed_values
        else:
            place = packed_values
        directory += struct.pack("<HHI", tag, 4, len(values)) + place
    head = b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + more
    return head.ljust(start, b"\0") + b"".join(data)
