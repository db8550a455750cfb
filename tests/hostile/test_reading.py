"""Files that pretend to be images, halves of images, and folders that have no end."""

import inspect
import io
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fishcnn.commands.image_paths import image_paths
from fishcnn.data.decoding import image_formats
from fishcnn.data.decoding.decode import content_digest, read_mask
from fishcnn.data.decoding.file_bytes import MAX_FILE_BYTES
from fishcnn.data.decoding.loading import load_images
from fishcnn.data.decoding.read import UnreadableImage, decode_image, read_image
from fishcnn.data.image_folder import scan_folder
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder


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
    """A PNG of (h, w, 1 or 3), with more chunks, and of another height than it says."""
    rows, columns, channels = levels.shape
    lines = levels.astype(">u2" if bits == 16 else "u1").reshape(rows, -1)
    packed = zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))
    colour = {1: 0, 3: 2}[channels]
    header = struct.pack(">IIBBBBB", columns, height or rows, bits, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), more, chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"\n<!DOCTYPE html><title>404</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
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
    with pytest.raises(UnreadableImage, match=f"^{name}, which is not read$"):
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


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket may only have some hundred characters.
        here = os.open(path.parent, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


NO_IMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (make_pipe, "a named pipe, not a regular file"),
    "socket": (make_socket, "a socket, not a regular file"),
    "zeros": (lambda path: path.symlink_to("/dev/zero"), "a device, not a regular file"),
    "folder": (Path.mkdir, "a folder, not a regular file"),
    "itself": (lambda path: path.symlink_to(path.name), "too many levels of symbolic links"),
    "nowhere": (lambda path: path.symlink_to("gone.jpg"), "no such file or directory"),
    "huge": (make_huge, "512 MB, more than the 512 MB that are read of a file"),
    "grows": (lambda path: path.symlink_to("/proc/self/maps"), "holds more than its size says"),
}


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_regular_file_is_listed_with_a_reason(tmp_path: Path, kind: str) -> None:
    make, why = NO_IMAGES[kind]
    for name in ("Koi/1.png", "Koi/2.png", "Ilish/1.png", "Ilish/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        photo(20, 20).save(tmp_path / name)
    odd = tmp_path / "Koi" / "x.jpg"
    make(odd)
    with pytest.raises(UnreadableImage, match=why):
        read_image(odd, long_enough_for=None)
    assert not content_digest(odd, None).any()
    if kind == "folder":
        return
    index = scan_folder(tmp_path)
    images = load_images(index, working_size=8, workers=2, cache="ram", cache_root=tmp_path)
    assert [bad.path.as_posix() for bad in images.unreadable] == ["Koi/x.jpg"]
    assert images.unreadable[0].reason.startswith(why)
    assert str(odd) in image_paths(str(tmp_path))


def test_a_mask_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mask.png")
    with pytest.raises(FishError, match="cannot be read: a named pipe, not a regular file"):
        read_mask(tmp_path / "mask.png", side=8, aspect=None)


def link_each_other(root: Path) -> None:
    (root / "Koi" / "b").symlink_to(root / "Ilish")
    (root / "Ilish" / "a").symlink_to(root / "Koi")


def link_in_a_chain(root: Path) -> None:
    """Ten folders, each with two links to the next: 1024 ways to the last one."""
    for number in range(10):
        folder = root / "Koi" / f"f{number}"
        folder.mkdir()
        for link in "xy":
            (folder / link).symlink_to(root / "Koi" / f"f{number + 1}")


def link_up(root: Path) -> None:
    (root / "Koi" / "up").symlink_to(root.parent)
    (root / "Ilish" / "root").symlink_to(root)
    (root / "Ilish" / "itself").symlink_to("itself")


def link_outside(root: Path) -> None:
    """Two folders outside that link to each other and back, reached by two names."""
    outside = root.parent / "outside"
    for name in ("p", "q"):
        (outside / name).mkdir(parents=True)
    (outside / "p" / "q").symlink_to(outside / "q")
    (outside / "q" / "p").symlink_to(outside / "p")
    (outside / "q" / "back").symlink_to(root / "Koi")
    for name in ("first", "second"):
        (root / "Koi" / name).symlink_to(outside)


@pytest.mark.parametrize("link", [link_each_other, link_in_a_chain, link_up, link_outside])
def test_links_neither_multiply_images_nor_go_round(
    tmp_path: Path, link: Callable[[Path], None]
) -> None:
    root = tmp_path / "fish"
    names = [f"{folder}/{n}.jpg" for folder in ("Ilish", "Koi") for n in range(9)]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    link(root)
    assert [path.as_posix() for path in scan_folder(root).paths] == names
    assert list(image_paths(str(root))) == [str(root / name) for name in names]
    assert len(list(image_paths(str(root / "*")))) == 18


def test_a_class_folder_may_be_a_link_to_elsewhere_or_to_a_hidden_store(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "fish", tmp_path / "elsewhere"
    for folder in (elsewhere, root / ".store" / "Koi"):
        folder.mkdir(parents=True)
        (folder / "1.jpg").touch()
    (root / "Ilish").symlink_to(elsewhere)
    (root / "Koi").symlink_to(Path(".store", "Koi"))
    assert [path.as_posix() for path in scan_folder(root).paths] == ["Ilish/1.jpg", "Koi/1.jpg"]


def test_a_folder_deeper_than_pythons_stack_is_gone_through(tmp_path: Path) -> None:
    (tmp_path / ("d/" * 150)).mkdir(parents=True)
    image = tmp_path / ("d/" * 150) / "1.jpg"
    image.touch()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        assert list(image_paths(str(tmp_path))) == [str(image)]
    finally:
        sys.setrecursionlimit(limit)


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


def test_bytes_behind_a_jpeg_do_no_harm() -> None:
    whole = encoded(photo(), "JPEG")
    expected = np.asarray(decode_image(whole, long_enough_for=None)[0])
    for more in (bytes(5000), b"\xff\xd9", whole, b"\xff" * 9, b"SEFT"):
        read, _ = decode_image(whole + more, long_enough_for=None)
        np.testing.assert_array_equal(np.asarray(read), expected)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (png(np.zeros((8, 8, 3)), height=16), "pixels is missing"),
        (png(np.zeros((8, 8, 3))).replace(b"IDATx", b"IDATy"), "checksum of its IDAT is wrong"),
        (png(np.zeros((8, 8, 3)))[:-20], "truncated"),
        (encoded(photo(), "WEBP")[:3000] + bytes(6000), "damaged"),
        (encoded(photo(), "AVIF")[:2000] + bytes(6000), "damaged"),
        (encoded(photo(), "TIFF", compression="tiff_lzw")[:9000] + bytes(60000), ""),
        (encoded(photo(), "GIF")[:5000] + b"\0;", ""),
    ],
    ids=["declared height", "checksum", "cut", "webp", "avif", "tiff", "gif"],
)
def test_half_an_image_of_another_kind_is_damaged(content: bytes, why: str) -> None:
    assert why in reason(content)


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
@pytest.mark.parametrize("white", [255, 1023, 4095, 65535])
def test_deep_pixels_are_brought_to_8_bits(white: int, channels: int) -> None:
    levels = np.random.default_rng(1).integers(0, white + 1, (9, 9, channels))
    levels[0, 0] = white
    read, _ = decode_image(png(levels, bits=16), long_enough_for=None)
    expected = np.broadcast_to(levels * 255 / white, (9, 9, 3))
    # Pillow itself rounds full 16-bit colours down.
    assert np.abs(np.asarray(read) - expected).max() <= 1


def test_integers_of_32_bits_that_hold_8_are_not_black(tmp_path: Path) -> None:
    levels = np.arange(250, dtype=np.int32).reshape(25, 10)
    Image.fromarray(levels).save(tmp_path / "x.tif")
    read = np.asarray(read_image(tmp_path / "x.tif", long_enough_for=None))
    np.testing.assert_array_equal(read[..., 0], levels)


def flat_png(width: int, height: int) -> bytes:
    """Few bytes for many pixels."""
    packing = zlib.compressobj(1)
    line = bytes(1 + 3 * width)
    data = b"".join(packing.compress(line) for _ in range(height)) + packing.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


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


def test_a_pipe_among_the_images_gets_a_row_of_its_own(
    trained: RunFolder, script: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    os.mkfifo(folder / "x.jpg")
    photo().save(folder / "y.jpg")
    finished = script("predict", f"ckpt={trained.path}", f"input={folder}", "output=out.csv")
    rows = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert finished.status == 0, finished
    assert len(rows) == 3
    assert "a named pipe, not a regular file" in rows[1]
