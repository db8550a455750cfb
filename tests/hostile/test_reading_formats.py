"""Files in formats that are read, in others, and pixels of every depth."""

import ast
import inspect
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_files import chunk, encoded, photo, png, reason, tiff
from PIL import Image

from fishcnn.data.decoding import image_formats
from fishcnn.data.decoding.read import UnreadableImage, decode_image, read_image


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"\n<!DOCTYPE html><title>404</title>", "a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "a Git LFS pointer: run git lfs pull",
        ),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (encoded(photo(16, 16), "ICO"), "ICO"),
        (encoded(photo(16, 16), "SGI"), "SGI"),
        (encoded(photo(16, 16), "PCX"), "PCX"),
        (encoded(photo(16, 16).convert("1"), "XBM"), "XBM"),
    ],
)
def test_another_format_is_named_and_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, name: str
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("Pillow was asked to open it")

    monkeypatch.setattr(Image, "open", opened)
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(UnreadableImage, match=f"^{name}, a format that is not supported$"):
        read_image(tmp_path / "x.jpg", long_enough_for=None)


@pytest.mark.parametrize("kind", ["TGA", "DIB", "IM", "SPIDER", "MSP"])
def test_formats_that_are_not_on_the_list_are_not_read(kind: str) -> None:
    image = photo(16, 16)
    modes = {"SPIDER": image.convert("F"), "MSP": image.convert("1")}
    content = encoded(modes.get(kind, image), kind)
    assert reason(content) == "not an image in any known format"


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_photographs_of_phones_are_read(kind: str) -> None:
    assert kind in image_formats.readable_formats()
    image = photo()
    read, size = decode_image(encoded(image, kind), long_enough_for=None)
    assert size == (160, 120)
    assert np.abs(np.asarray(read).astype(int) - np.asarray(image)).mean() < 10


def test_without_its_package_a_heic_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "HEIF" in image_formats.readable_formats()
    content = encoded(photo(), "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF")
    image_formats.readable_formats.cache_clear()
    try:
        assert reason(content) == "HEIC; pip install 'fishcnn[heif]' reads it"
    finally:
        image_formats.readable_formats.cache_clear()


@pytest.mark.parametrize(
    "metadata",
    [
        chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(9_000_000))),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(3_000_000))),
        chunk(b"eXIf", b"nonsense"),
        chunk(b"tEXt", b"Comment\0damaged")[:-4] + b"\0\0\0\0",
        chunk(b"zTXt", b"Comment\0\0") * 5000,
    ],
    ids=["text", "packed text", "xmp", "profile", "exif", "checksum", "many"],
)
def test_metadata_are_no_pixels(metadata: bytes) -> None:
    levels = np.arange(64 * 3).reshape(8, 8, 3)
    read, _ = decode_image(png(levels, more=metadata), long_enough_for=None)
    np.testing.assert_array_equal(np.asarray(read), levels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
def test_deep_pixels_are_brought_to_8_bits(white: int, channels: int) -> None:
    levels = np.random.default_rng(1).integers(0, white + 1, (9, 9, channels))
    levels[0, 0] = white
    read, _ = decode_image(png(levels, bits=16), long_enough_for=None)
    expected = np.broadcast_to(levels * 255 / white, (9, 9, 3))
    # Pillow itself rounds full 16-bit colours down.
    assert np.abs(np.asarray(read) - expected).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_hot_pixel_does_not_keep_an_image_dark(channels: int) -> None:
    levels = np.random.default_rng(1).integers(0, 4096, (80, 80, channels))
    levels[40, 40] = 65535
    read = np.asarray(decode_image(png(levels, bits=16), long_enough_for=None)[0]).astype(float)
    expected = np.broadcast_to(levels.clip(0, 4095) * 255 / 4095, (80, 80, 3))
    assert np.abs(read - expected).max() <= 1


def test_a_small_bright_fish_on_black_keeps_its_detail() -> None:
    levels = np.zeros((100, 100, 1), int)
    levels[50:53, 50:53, 0] = np.arange(9).reshape(3, 3) * 7000 + 3000  # 0.09 % of the pixels
    read = np.asarray(decode_image(png(levels, bits=16), long_enough_for=None)[0])
    assert len(np.unique(read)) == 10


@pytest.mark.parametrize("white", [1023, 4095, 16383])
def test_alpha_of_few_bits_is_not_transparent(white: int) -> None:
    levels = np.random.default_rng(1).integers(0, white + 1, (9, 9, 4))
    levels[..., 3] = white
    levels[0, 0] = white
    levels[1, 1, 3] = 0
    read, _ = decode_image(png(levels, bits=16), long_enough_for=None)
    expected = levels[..., :3] * 255 / white
    expected[1, 1] = 255  # what is transparent is laid on white
    assert np.abs(np.asarray(read) - expected).max() <= 1


def test_integers_of_32_bits_that_hold_8_are_not_black(tmp_path: Path) -> None:
    levels = np.arange(250, dtype=np.int32).reshape(25, 10)
    Image.fromarray(levels).save(tmp_path / "x.tif")
    read = np.asarray(read_image(tmp_path / "x.tif", long_enough_for=None))
    np.testing.assert_array_equal(read[..., 0], levels)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("packed", [False, True])
def test_planes_of_16_bits_are_read_right_or_refused(depth: type, packed: bool) -> None:
    levels = np.random.default_rng(1).integers(0, np.iinfo(depth).max, (9, 7, 3)).astype(depth)
    content = tiff(levels, planes=True, packed=packed)
    if depth is np.uint16 and not packed:
        why = "a 16-bit TIFF with separate colour planes, which is not supported"
        assert reason(content, None) == why
    else:
        read, _ = decode_image(content, long_enough_for=None)
        np.testing.assert_array_equal(np.asarray(read), levels >> 8 * (levels.itemsize - 1))


def test_no_image_is_opened_without_a_list_of_formats() -> None:
    package = Path(inspect.getfile(image_formats)).parents[2]
    for file in package.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "Image.open":
                assert "formats" in [keyword.arg for keyword in call.keywords], file
