"""Image files of every kind, whole and broken."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fishcnn.data.decoding.read import UnreadableImage, decode_image, read_image

RED, GREEN, BLUE, YELLOW = (220, 20, 20), (20, 200, 20), (20, 20, 220), (230, 220, 20)
# EXIF 2.32: on which visible side the stored row 0 and the stored column 0 lie.
ORIENTATIONS = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
OPPOSITE = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}


def four_corners(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Red and green above blue and yellow."""
    image = Image.new("RGB", (2, 2))
    for x, y, colour in ((0, 0, RED), (1, 0, GREEN), (0, 1, BLUE), (1, 1, YELLOW)):
        image.putpixel((x, y), colour)
    return image.resize(size, Image.Resampling.NEAREST)


def colour_at(image: Image.Image, corner: set[str]) -> np.ndarray:
    x = 4 if "left" in corner else image.width - 5
    y = 4 if "top" in corner else image.height - 5
    return np.array(image.getpixel((x, y)), dtype=int)


def assert_colour(found: object, expected: tuple[int, int, int], tolerance: int = 8) -> None:
    np.testing.assert_allclose(np.array(found, dtype=int), expected, atol=tolerance)


def reason_for(path: Path) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_image(path, long_enough_for=None)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_images_stand_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"fish.{suffix}"
    four_corners().save(path, exif=exif, quality=95)
    image, size = decode_image(path.read_bytes(), long_enough_for=32)
    row_0, column_0 = ORIENTATIONS[orientation]
    assert_colour(colour_at(image, {row_0, column_0}), RED)
    assert_colour(colour_at(image, {row_0, OPPOSITE[column_0]}), GREEN)
    assert_colour(colour_at(image, {OPPOSITE[row_0], column_0}), BLUE)
    assert_colour(colour_at(image, {OPPOSITE[row_0], OPPOSITE[column_0]}), YELLOW)
    assert size == ((96, 64) if orientation < 5 else (64, 96))
    reduced = (48, 32) if suffix == "jpg" else (96, 64)
    assert image.size == (reduced if orientation < 5 else reduced[::-1])


def test_broken_exif_is_no_reason_to_drop_an_image(tmp_path: Path) -> None:
    path = tmp_path / "fish.jpg"
    for broken in (b"II*\0\x08\0\0\0\xff\xff\x12\x01", b"nonsense", b"MM\0*\0\0\xff\xff"):
        four_corners().save(path, exif=b"Exif\0\0" + broken, quality=95)
        image = read_image(path, long_enough_for=None)
        assert_colour(colour_at(image, {"top", "left"}), RED)


def test_jpegs_are_reduced_but_never_below_the_target(tmp_path: Path) -> None:
    path = tmp_path / "fish.jpg"
    generator = np.random.default_rng(1)
    for width, height in generator.integers(20, 900, (40, 2)).tolist():
        Image.new("RGB", (width, height), RED).save(path)
        image, size = decode_image(path.read_bytes(), long_enough_for=100)
        assert size == (width, height)
        assert min(image.size) >= min(100, width, height)
        assert min(image.size) < 200 or min(image.size) >= min(width, height) // 8
        assert read_image(path, long_enough_for=None).size == (width, height)


def test_a_photograph_of_24_megapixels_and_a_thumbnail_are_read(tmp_path: Path) -> None:
    large, small = tmp_path / "large.jpg", tmp_path / "small.jpg"
    Image.new("L", (6000, 4000), 90).save(large)
    Image.new("RGB", (150, 33), GREEN).save(small, quality=95)
    image, size = decode_image(large.read_bytes(), long_enough_for=160)
    assert (size, image.size, image.mode) == ((6000, 4000), (750, 500), "RGB")
    assert_colour(image.getpixel((400, 300)), (90, 90, 90), tolerance=2)
    assert read_image(small, long_enough_for=160).size == (150, 33)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 128))
    image.putpixel((2, 0), (0, 0, 0, 255))
    image.convert(mode).save(tmp_path / "fish.png")
    read = np.asarray(read_image(tmp_path / "fish.png", long_enough_for=None))
    np.testing.assert_array_equal(read[0, :, 0], [255, 127, 0])


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
def test_a_transparent_palette_colour_becomes_white(
    tmp_path: Path, transparency: int | bytes
) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *BLUE, *GREEN])
    image.putdata([0, 1, 2])
    image.save(tmp_path / "fish.png", transparency=transparency)
    read = np.asarray(read_image(tmp_path / "fish.png", long_enough_for=None))
    np.testing.assert_array_equal(read, [[RED, (255, 255, 255), GREEN]])


def test_a_colour_key_becomes_white(tmp_path: Path) -> None:
    image = four_corners((2, 2))
    image.save(tmp_path / "fish.png", transparency=BLUE)
    read = np.asarray(read_image(tmp_path / "fish.png", long_enough_for=None))
    np.testing.assert_array_equal(read, [[RED, GREEN], [(255, 255, 255), YELLOW]])


def test_cmyk_print_files_have_their_colours(tmp_path: Path) -> None:
    # Pillow writes them inverted with an Adobe marker, as Photoshop does.
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "fish.jpg", quality=95)
    with Image.open(tmp_path / "fish.jpg") as stored:
        assert stored.mode == "CMYK"
        assert "adobe" in stored.info
    image = read_image(tmp_path / "fish.jpg", long_enough_for=8)
    assert_colour(image.getpixel((0, 0)), (255, 0, 0), tolerance=3)


@pytest.mark.parametrize("name", ["fish.png", "fish.tif", "fish.pgm", "big_endian.tif"])
def test_16_bit_greys_are_scaled_and_not_clipped(tmp_path: Path, name: str) -> None:
    grey = np.array([[0, 255, 257 * 100, 32768, 65535]], np.uint16)
    if name == "big_endian.tif":
        Image.frombytes("I;16B", (5, 1), grey.astype(">u2").tobytes()).save(tmp_path / name)
    elif name == "fish.pgm":
        (tmp_path / name).write_bytes(b"P5 5 1 65535\n" + grey.astype(">u2").tobytes())
    else:
        Image.fromarray(grey).save(tmp_path / name)
    read = np.asarray(read_image(tmp_path / name, long_enough_for=None))
    np.testing.assert_array_equal(read[0], np.repeat([[0], [1], [100], [128], [255]], 3, axis=1))


def test_pixels_without_a_white_level_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 0.5, np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.full((2, 2), 70000, np.int32)).save(tmp_path / "int.tif")
    assert (
        reason_for(tmp_path / "float.tif") == "floating-point pixels, whose white level is unknown"
    )
    assert reason_for(tmp_path / "int.tif") == "32-bit pixels, whose white level is unknown"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (4, 4), 77), (77, 77, 77)),
        (Image.new("1", (4, 4), 1), (255, 255, 255)),
        (Image.new("RGB", (4, 4), BLUE).quantize(8), BLUE),
    ],
    ids=["grey", "1-bit", "palette"],
)
@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_every_mode_becomes_rgb(
    tmp_path: Path, image: Image.Image, expected: tuple[int, int, int], suffix: str
) -> None:
    image.save(tmp_path / f"fish.{suffix}")
    read = read_image(tmp_path / f"fish.{suffix}", long_enough_for=None)
    assert read.mode == "RGB"
    assert read.getpixel((3, 3)) == expected


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_counts(tmp_path: Path, suffix: str) -> None:
    first, second = Image.new("RGB", (40, 30), RED), Image.new("RGB", (40, 30), BLUE)
    path = tmp_path / f"fish.{suffix}"
    first.save(path, save_all=True, append_images=[second])
    with Image.open(path) as stored:
        assert stored.n_frames == 2
    read = read_image(path, long_enough_for=10)
    assert read.size == (40, 30)
    assert_colour(read.getpixel((20, 15)), RED)


@pytest.mark.parametrize("kind", ["webp", "png", "gif", "bmp"])
def test_the_content_decides_and_not_the_name(tmp_path: Path, kind: str) -> None:
    four_corners().save(tmp_path / "fish.jpg", format=kind, quality=95)
    read = read_image(tmp_path / "fish.jpg", long_enough_for=10)
    assert_colour(colour_at(read, {"bottom", "right"}), YELLOW)


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_half_an_image_is_never_returned(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    whole = io.BytesIO()
    Image.fromarray(noise).save(whole, format=kind)
    path = tmp_path / "fish.jpg"
    path.write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * share)])
    for target in (None, 16):
        with pytest.raises(UnreadableImage) as caught:
            read_image(path, long_enough_for=target)
        assert 3 < len(caught.value.reason) < 80
        assert str(tmp_path) not in caught.value.reason


def test_the_reason_is_short_and_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fish.jpg"
    assert reason_for(path) == "no such file or directory"
    path.touch()
    assert reason_for(path) == "empty file"
    path.write_text("a fish, in words")
    assert reason_for(path) == "not an image in any known format"
    four_corners().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert reason_for(path) == "truncated"
    four_corners().save(path)
    monkeypatch.setenv("FISHCNN_MAX_PIXELS", str(96 * 64 - 1))
    assert reason_for(path) == (
        "96x64 are 6,144 pixels, more than the limit of 6,143; set FISHCNN_MAX_PIXELS=6144 to "
        "read it"
    )


def test_large_but_fine_images_are_read_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fish.jpg"
    four_corners().save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 96 * 64 - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(path).close()
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        read_image(path, long_enough_for=None)
    assert leaked == []


def test_reading_in_threads_leaves_the_warning_filters_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fish.jpg"
    four_corners((600, 400)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600 * 400 - 1)
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda _: read_image(path, long_enough_for=None).size, range(200)))
    assert sizes == [(600, 400)] * 200
    assert list(warnings.filters) == filters
