"""From a index to arrays, with files that cannot be read and with masks."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.loading import check_enough, load_images
from fishcnn.data.decoding.resize import Square
from fishcnn.data.image_folder import scan_folder
from fishcnn.utils.errors import FishError

RED, GREEN, BLUE = (220, 20, 20), (20, 200, 20), (20, 20, 220)


def save(root: Path, name: str, image: Image.Image, **options: object) -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    image.save(root / name, **options)
    return root / name


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (60, 40)) -> Image.Image:
    return Image.new("RGB", size, colour)


def load(
    root: Path,
    masks_root: Path | None = None,
    working_size: int = 16,
    workers: int = 2,
    cache: str = "ram",
) -> ImageSet:
    return load_images(
        scan_folder(root, masks_root),
        square=Square(working_size),
        workers=workers,
        cache=cache,
        cache_root=root.parent / f"{root.name} cache",
    )


def test_every_row_belongs_to_its_path(tmp_path: Path) -> None:
    colours = {f"{name}/{i:03}.png": (i, 10, 99) for name in ("Koi", "Rui") for i in range(60)}
    for name, colour in colours.items():
        save(tmp_path, name, plain(colour, (8, 8)))
    images = load(tmp_path, workers=4)
    assert images.pixels.shape == (120, 16, 16, 3)
    assert images.pixels.dtype == np.uint8
    assert images.pixels.flags.c_contiguous
    assert images.paths == images.index.paths
    for image, path, label in zip(images.pixels, images.paths, images.labels, strict=True):
        assert (image == colours[path.as_posix()]).all()
        assert images.classes[label] == path.parts[0]
    assert (images.masks, images.splits, images.unreadable) == (None, None, ())


def test_the_aspect_ratio_is_that_of_the_upright_original(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    save(tmp_path, "Koi/turned.jpg", plain(RED, (500, 375)), exif=turned)
    save(tmp_path, "Koi/wide.jpg", plain(RED, (150, 33)))
    save(tmp_path, "Rui/large.jpg", plain(RED, (501, 375)))
    images = load(tmp_path)
    assert images.sizes is not None
    assert images.sizes.tolist() == [[375, 500], [150, 33], [501, 375]]
    expected = np.array([375 / 500, 150 / 33, 501 / 375], np.float32)
    np.testing.assert_array_equal(images.aspect, expected)
    assert images.aspect.dtype == np.float32


@pytest.mark.parametrize("name", ["stripes.png", "stripes.jpg"])
def test_squashing_averages_and_does_not_skip_pixels(tmp_path: Path, name: str) -> None:
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::2] = 200
    save(tmp_path, f"Koi/{name}", Image.fromarray(stripes), quality=95)
    save(tmp_path, "Rui/1.png", plain(RED))
    images = load(tmp_path)
    np.testing.assert_allclose(images.pixels[0].astype(int), 100, atol=5)


def test_left_and_right_halves_stay_where_they_are(tmp_path: Path) -> None:
    halves = plain(RED, (600, 200))
    halves.paste(BLUE, (300, 0, 600, 200))
    save(tmp_path, "Koi/1.png", halves)
    save(tmp_path, "Rui/1.png", plain(GREEN))
    images = load(tmp_path)
    np.testing.assert_array_equal(images.pixels[0, :, :7], np.broadcast_to(RED, (16, 7, 3)))
    np.testing.assert_array_equal(images.pixels[0, :, 9:], np.broadcast_to(BLUE, (16, 7, 3)))


def test_unreadable_images_are_left_out_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, colour in (("Koi/1.png", RED), ("Koi/3.png", GREEN), ("Rui/2.png", BLUE)):
        save(tmp_path, name, plain(colour))
    (tmp_path / "Koi/0.jpg").touch()
    (tmp_path / "Koi/2.jpg").write_text("no fish")
    cut = save(tmp_path, "Rui/1.jpg", plain(RED))
    cut.write_bytes(cut.read_bytes()[:-50])
    with caplog.at_level(logging.INFO):
        images = load(tmp_path)
    assert [(bad.path.as_posix(), bad.reason) for bad in images.unreadable] == [
        ("Koi/0.jpg", "empty file"),
        ("Koi/2.jpg", "not an image in any known format"),
        ("Rui/1.jpg", "truncated"),
    ]
    assert [path.as_posix() for path in images.paths] == ["Koi/1.png", "Koi/3.png", "Rui/2.png"]
    assert images.pixels[:, 5, 5].tolist() == [list(RED), list(GREEN), list(BLUE)]
    assert images.labels.tolist() == [0, 0, 1]
    assert images.pixels.flags.c_contiguous
    assert images.aspect.tolist() == [1.5] * 3
    assert caplog.messages == [
        "Decoding 6 images to 16x16: 0 MB of memory.",
        "Left out 3 of 6 images that cannot be read:",
        *(f"  {file.path}: {file.reason}" for file in images.unreadable),
    ]


def test_a_folder_of_broken_images_ends_in_a_clear_message(tmp_path: Path) -> None:
    for name in ("Koi/1.jpg", "Koi/2.jpg", "Rui/1.jpg"):
        save(tmp_path, name, plain(RED)).write_bytes(b"")
    images = load(tmp_path)
    assert images.pixels.shape == (0, 16, 16, 3)
    with pytest.raises(FishError, match=r"class Koi in .* has 0 readable images; needs at least"):
        check_enough(images)


def test_the_cost_in_memory_is_said_before_decoding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("Koi/1.png", "Rui/1.png"):
        save(tmp_path, name, plain(RED))
    with caplog.at_level(logging.INFO):
        images = load(tmp_path, working_size=1000)
    assert caplog.messages == ["Decoding 2 images to 1000x1000: 6 MB of memory."]
    assert images.pixels.nbytes == 6_000_000


def test_sides_of_a_split_folder_follow_their_images(tmp_path: Path) -> None:
    for name in ("train/Koi/1.png", "train/Rui/1.png", "val/Koi/1.png", "val/Rui/1.png"):
        save(tmp_path, name, plain(RED))
    (tmp_path / "train/Koi/0.png").touch()
    images = load(tmp_path)
    assert images.splits == ("train", "train", "val", "val")


@pytest.mark.parametrize("mode", ["L", "1"])
def test_masks_are_found_by_path_and_are_all_or_nothing(tmp_path: Path, mode: str) -> None:
    root, masks_root = tmp_path / "fish", tmp_path / "masks"
    mask = Image.new("L", (30, 20), 0)
    mask.paste(255, (0, 0, 15, 20))
    for name in ("Koi/deeper/1.jpg", "Rui/1.png"):
        save(root, name, plain(RED))
    save(masks_root, "Koi/deeper/1.png", mask.convert(mode))
    save(masks_root, "Rui/1.png", Image.new(mode, (60, 40), 0))
    images = load(root, masks_root)
    assert images.masks is not None
    assert images.masks.shape == (2, 16, 16)
    assert images.masks.dtype == np.uint8
    assert (images.masks[0, :, :8] == 255).all()
    assert (images.masks[0, :, 8:] == 0).all()
    assert (images.masks[1] == 0).all()


def test_a_mask_pixel_is_fish_above_127(tmp_path: Path) -> None:
    root, masks_root = tmp_path / "fish", tmp_path / "masks"
    for name in ("Koi/1.png", "Rui/1.png"):
        save(root, name, plain(RED, (2, 2)))
        mask = Image.new("L", (2, 2), 127)
        mask.putpixel((1, 0), 128)
        save(masks_root, name, mask)
    images = load(root, masks_root, working_size=2)
    assert images.masks is not None
    assert images.masks[0].tolist() == [[0, 255], [0, 0]]


def test_a_shrunken_mask_pixel_is_fish_where_most_of_it_was(tmp_path: Path) -> None:
    root, masks_root = tmp_path / "fish", tmp_path / "masks"
    mask = np.zeros((4, 4), np.uint8)
    mask[:2, :2] = [[255, 255], [255, 0]]
    mask[2:, 2:] = [[255, 0], [0, 0]]
    for name in ("Koi/1.png", "Rui/1.png"):
        save(root, name, plain(RED, (4, 4)))
        save(masks_root, name, Image.fromarray(mask))
    images = load(root, masks_root, working_size=2)
    assert images.masks is not None
    assert images.masks[0].tolist() == [[255, 0], [0, 0]]


def test_masks_are_left_out_with_their_unreadable_images(tmp_path: Path) -> None:
    root, masks_root = tmp_path / "fish", tmp_path / "masks"
    for name, level in (("Koi/1.png", 0), ("Koi/2.png", 255), ("Rui/1.png", 0)):
        save(root, name, plain(RED))
        save(masks_root, name, Image.new("L", (60, 40), level))
    (root / "Koi/1.png").write_bytes(b"")
    (masks_root / "Koi/1.png").unlink()
    images = load(root, masks_root)
    assert images.masks is not None
    assert images.masks[:, 3, 3].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (None, "mask {} does not exist; every image needs one"),
        (
            Image.new("L", (40, 60), 255),
            "mask {} is 40x60, another shape than its image, whose width / height is 1.500",
        ),
        (
            Image.new("L", (60, 40), 1),
            "mask {} is nowhere brighter than 1; write 255 on the fish and 0 elsewhere",
        ),
        ("nonsense", "mask {} cannot be read: not an image in any known format"),
    ],
    ids=["missing", "turned", "zeros and ones", "unreadable"],
)
def test_masks_that_do_not_fit_are_an_error(
    tmp_path: Path, mask: Image.Image | str | None, message: str
) -> None:
    root, masks_root = tmp_path / "fish", tmp_path / "masks"
    for name in ("Koi/1.png", "Rui/1.png"):
        save(root, name, plain(RED))
        save(masks_root, name, Image.new("L", (60, 40), 255))
    wrong = masks_root / "Rui/1.png"
    wrong.unlink()
    if isinstance(mask, str):
        wrong.write_text(mask)
    elif mask is not None:
        mask.save(wrong)
    with pytest.raises(FishError) as caught:
        load(root, masks_root)
    assert str(caught.value) == message.format(wrong)


def test_a_class_needs_two_readable_images(tmp_path: Path) -> None:
    for name in ("Koi/1.png", "Koi/2.png", "Rui/1.png", "Rui/2.png"):
        save(tmp_path, name, plain(RED))
    check_enough(load(tmp_path))
    (tmp_path / "Rui/1.png").write_bytes(b"")
    with pytest.raises(FishError) as caught:
        check_enough(load(tmp_path))
    assert str(caught.value) == (
        f"class Rui in {tmp_path / 'Rui'} has 1 readable image; "
        "needs at least 2: one for training, one for validation. Add images, or move "
        "the folder away."
    )
    (tmp_path / "Rui/2.png").write_bytes(b"")
    with pytest.raises(FishError, match="has 0 readable images; needs at least 2"):
        check_enough(load(tmp_path))


def test_a_split_folder_needs_one_training_image_a_class(tmp_path: Path) -> None:
    for name in ("Train/Koi/1.png", "Train/Rui/1.png", "val/Koi/1.png", "val/Rui/1.png"):
        save(tmp_path, name, plain(RED))
    check_enough(load(tmp_path))
    (tmp_path / "Train/Rui/1.png").write_bytes(b"")
    with pytest.raises(FishError) as caught:
        check_enough(load(tmp_path))
    assert str(caught.value) == (
        f"class Rui in {tmp_path / 'Train' / 'Rui'} has 0 readable images; "
        "needs at least 1: for training. Add images, or move the folder away."
    )
