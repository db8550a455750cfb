"""Halves of images."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from image_files import encoded, photo, png, reason, tiff
from PIL import Image

from fishcnn.data.decoding.read import decode_image

JPEGS: dict[str, dict[str, object]] = {
    "baseline": {"quality": 85},
    "optimized": {"quality": 85, "optimize": True},
    "progressive": {"quality": 85, "progressive": True},
    "restarts": {"quality": 85, "restart_marker_rows": 1},
    "fine": {"quality": 95, "subsampling": 0},
}
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "middle cut out": lambda b: b[: int(0.3 * len(b))] + b[int(0.7 * len(b)) :],
    "second half zeroed": lambda b: b[: len(b) // 2] + bytes(len(b) - len(b) // 2),
    "zeroed but for the end": lambda b: b[: len(b) // 2] + bytes(len(b) // 2) + b[-2:],
    "cut and closed": lambda b: b[: len(b) // 2] + b"\xff\xd9",
    "hardly cut and closed": lambda b: b[: int(0.95 * len(b))] + b"\xff\xd9",
    "doubled": lambda b: b[: int(0.7 * len(b))] + b[int(0.4 * len(b)) :],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", JPEGS)
def test_half_a_jpeg_is_damaged(kind: str, damage: str) -> None:
    whole = encoded(photo(), "JPEG", **JPEGS[kind])
    for target in (None, 40):  # the latter at half the scale
        decode_image(whole, long_enough_for=target)
        assert reason(DAMAGES[damage](whole), target).startswith(("damaged", "truncated"))


@pytest.mark.parametrize("kind", JPEGS)
def test_a_flat_jpeg_is_not_damaged(kind: str) -> None:
    for colour in ("white", "black", (128, 128, 128), (7, 77, 177)):  # the third is libjpeg's own
        flat = Image.new("RGB", (700, 500), colour)
        for image in (flat, flat.convert("L"), flat.resize((1, 1)), flat.resize((17, 3))):
            read, size = decode_image(encoded(image, "JPEG", **JPEGS[kind]), long_enough_for=40)
            assert size == image.size
            assert read.getpixel((0, 0)) == read.getpixel((read.width - 1, read.height - 1))


@pytest.mark.parametrize("kind", JPEGS)
def test_zeros_between_a_jpeg_and_its_end_marker_do_no_harm(kind: str) -> None:
    whole = encoded(photo(), "JPEG", **JPEGS[kind])
    expected = np.asarray(decode_image(whole, long_enough_for=None)[0])
    for count in (1, 15, 20, 40, 64, 4000):
        padded = whole[:-2] + bytes(count) + whole[-2:]
        read, _ = decode_image(padded, long_enough_for=None)
        np.testing.assert_array_equal(np.asarray(read), expected)
        # As many may not stand in place of the image, although they end where it does.
        if count > 40 and kind != "progressive":  # of which the last scan is but a last bit
            assert "damaged" in reason(whole[: -2 - count] + padded[-2 - count :])


def test_bytes_behind_a_jpeg_do_no_harm() -> None:
    whole = encoded(photo(), "JPEG")
    expected = np.asarray(decode_image(whole, long_enough_for=None)[0])
    for more in (bytes(5000), b"\xff\xd9", whole, b"\xff" * 9, b"SEFT"):
        read, _ = decode_image(whole + more, long_enough_for=None)
        np.testing.assert_array_equal(np.asarray(read), expected)


def zeroed(content: bytes) -> bytes:
    """With its second half zeroed, but for what a TIFF has at its end."""
    half = len(content) // 2
    return content[:half] + bytes(half - 400) + content[-400:]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (png(np.zeros((8, 8, 3)), height=16), "pixels is missing"),
        (png(np.zeros((8, 8, 3))).replace(b"IDATx", b"IDATy"), "checksum of its IDAT is wrong"),
        (png(np.zeros((8, 8, 3)))[:-20], "truncated"),
        (encoded(photo(), "WEBP")[:3000] + bytes(6000), "overwritten with zeros"),
        (encoded(photo(), "AVIF")[:2000] + bytes(6000), "overwritten with zeros"),
        (zeroed(encoded(photo(), "TIFF", compression="tiff_lzw")), "damaged (decoder error -2)"),
        (
            zeroed(encoded(photo(), "TIFF", compression="tiff_adobe_deflate")),
            "damaged: a part of its pixels was overwritten",
        ),
        (encoded(photo(), "GIF")[:5000] + b"\0;", "truncated"),
    ],
    ids=["declared height", "checksum", "cut", "webp", "avif", "lzw", "deflate", "gif"],
)
def test_half_an_image_of_another_kind_is_damaged(content: bytes, why: str) -> None:
    assert why in reason(content)


def test_a_black_tiff_is_not_damaged() -> None:
    black = tiff(np.zeros((900, 900, 3), np.uint8), packed=True)
    assert bytes(1000) in black
    decode_image(black, long_enough_for=None)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF", "JPEG2000"])
def test_zeros_are_damage_in_the_image_and_not_in_its_metadata(kind: str) -> None:
    zeros = bytes(6000)
    exif = Image.Exif()
    exif[0x010E] = "padded, as Windows leaves it"
    padded = {"exif": exif.tobytes() + zeros, "xmp": zeros, "icc_profile": zeros}
    content = encoded(photo(), kind, **padded)
    if kind == "JPEG2000":
        at = content.index(b"jp2c") - 4
        content = content[:at] + struct.pack(">I4s", 8 + len(zeros), b"uuid") + zeros + content[at:]
    assert zeros in content
    decode_image(content, long_enough_for=None)
    plain = encoded(photo(), kind)
    assert "overwritten with zeros" in reason(plain[: len(plain) // 2] + bytes(len(plain) // 2))
    if kind == "AVIF":  # with its metadata before the image
        assert "overwritten with zeros" in reason(content[:-3000] + bytes(3000))


@pytest.mark.parametrize("kind", ["BMP", "PPM", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_zeros_in_an_uncompressed_image_are_damage_and_a_black_ground_is_not(
    kind: str, mode: str
) -> None:
    if (kind, mode) == ("BMP", "I;16"):
        mode = "L"
    bright = photo().point(lambda level: max(level, 9))
    grey = Image.fromarray(np.asarray(bright.convert("L")).astype(np.uint16) * 257)
    image = grey if mode == "I;16" else bright.convert(mode)
    whole = encoded(image, kind)
    decode_image(whole, long_enough_for=None)
    half = len(whole) // 2 + 33
    assert reason(whole[:half] + bytes(len(whole) - half)) == "damaged: black from within a row on"
    for box in ((0, 0, 160, 60), (20, 20, 100, 70), (0, 0, 80, 60), (90, 60, 160, 120)):
        black = Image.new(image.mode, image.size)
        black.paste(image.crop(box), box)
        decode_image(encoded(black, kind), long_enough_for=None)
        decode_image(encoded(black.rotate(20), kind), long_enough_for=None)
        disc = Image.fromarray(np.hypot(*np.indices((120, 160)) - 50) < 40)
        decode_image(encoded(Image.composite(image, black, disc), kind), long_enough_for=None)
