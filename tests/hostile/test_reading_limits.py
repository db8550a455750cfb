"""Images that would take all memory or time."""

import re
import struct

import numpy as np
import pytest
from image_files import chunk, encoded, flat_png, photo, reason, tiff
from PIL import Image

from fishcnn.data.decoding.read import decode_image
from fishcnn.utils.errors import FishError


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = flat_png(17000, 20)
    # As it would be with all its lines.
    bomb = bomb.replace(
        bomb[8:33], chunk(b"IHDR", struct.pack(">IIBBBBB", 17000, 10000, 8, 2, 0, 0, 0))
    )
    assert reason(bomb) == (
        "17000x10000 are 170,000,000 pixels, more than the limit of 64,000,000; set "
        "FISHCNN_MAX_PIXELS=170000000 to read it"
    )
    monkeypatch.setenv("FISHCNN_MAX_PIXELS", str(17000 * 20))
    decode_image(flat_png(17000, 20), long_enough_for=None)


def test_a_jpeg_of_101_megapixels_is_read_at_the_scale_that_is_wanted() -> None:
    content = encoded(Image.new("L", (12000, 8400), 90), "JPEG")
    read, size = decode_image(content, long_enough_for=160)
    assert (size, read.size) == ((12000, 8400), (1500, 1050))
    assert "more than the limit of 64,000,000" in reason(content, None)


@pytest.mark.parametrize("typed", ["many", "-1", "0", "1e6", "1.5"])
def test_a_limit_that_is_no_number_of_pixels_is_named(
    monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.setenv("FISHCNN_MAX_PIXELS", typed)
    with pytest.raises(
        FishError, match=f"^FISHCNN_MAX_PIXELS={typed}: set a whole number of pixels"
    ):
        decode_image(encoded(photo(), "PNG"), long_enough_for=None)


def test_a_jpeg_of_endless_scans_is_refused_and_one_of_many_is_read() -> None:
    whole = encoded(photo(), "JPEG", progressive=True)
    starts = [match.start() for match in re.finditer(rb"\xff\xda", whole)]
    second = slice(starts[1], whole.index(b"\xff\xc4", starts[1]))
    for more, refused in ((100 - len(starts), False), (101 - len(starts), True)):
        content = whole[: second.start] + whole[second] * more + whole[second.start :]
        if refused:
            assert reason(content) == "a JPEG of more than 100 scans, as no camera writes"
        else:
            decode_image(content, long_enough_for=None)


def test_the_tiles_of_a_tiff_have_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.zeros((60, 60, 3), np.uint8)
    bomb = tiff(levels, packed=True, tile=40000)
    assert len(bomb) < 500
    assert reason(bomb) == (
        "40000x40000 are 1,600,000,000 pixels in a tile, more than the limit of 64,000,000; set "
        "FISHCNN_MAX_PIXELS=1600000000 to read it"
    )
    monkeypatch.setenv("FISHCNN_MAX_PIXELS", "4096")
    decode_image(tiff(np.zeros((64, 64, 3), np.uint8), packed=True, tile=64), long_enough_for=None)
