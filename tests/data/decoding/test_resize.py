"""How images of any shape become squares."""

import numpy as np
import pytest
from PIL import Image

from fishcnn.data.decoding.resize import RESIZES, Square, as_seen

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def thirds(width: int, height: int) -> Image.Image:
    """Red, green and blue, one after the other along the longer side."""
    image = Image.new("RGB", (width, height), GREEN)
    if width > height:
        image.paste(RED, (0, 0, width // 3, height))
        image.paste(BLUE, (2 * width // 3, 0, width, height))
    else:
        image.paste(RED, (0, 0, width, height // 3))
        image.paste(BLUE, (0, 2 * height // 3, width, height))
    return image


@pytest.mark.parametrize("size", [(300, 100), (100, 300)])
def test_squash_shows_everything_and_letterbox_in_its_own_shape(size: tuple[int, int]) -> None:
    squashed, boxed, cropped = (Square(30, how).of_image(thirds(*size)) for how in RESIZES)
    if size[0] < size[1]:
        squashed, boxed, cropped = (one.swapaxes(0, 1) for one in (squashed, boxed, cropped))
    for end, colour in ((4, RED), (15, GREEN), (25, BLUE)):
        assert tuple(squashed[15, end]) == tuple(boxed[15, end]) == colour
    assert (squashed == squashed[:1]).all()
    # A third of the height is the image, the rest its mean colour.
    assert tuple(boxed[10, 4]) == tuple(boxed[19, 4]) == RED
    mean = boxed[10:20].reshape(-1, 3).mean(0).round()
    assert (boxed[[0, 9, 20, 29]] == mean).all()
    # What is cut off colours the edge, as everywhere an edge is smoothed.
    assert (cropped[:, 1:-1] == GREEN).all()


@pytest.mark.parametrize("how", RESIZES)
def test_a_square_image_is_the_same_however_it_is_resized(how: str) -> None:
    levels = np.random.default_rng(1).integers(0, 256, (90, 90, 3), np.uint8)
    image = Image.fromarray(levels)
    np.testing.assert_array_equal(Square(40, how).of_image(image), Square(40).of_image(image))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (7, 5), (64, 63)])
@pytest.mark.parametrize("how", RESIZES)
def test_any_shape_becomes_a_square(how: str, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, RED)
    assert (Square(16, how).of_image(image) == RED).all()
    covered = Square(16, how).of_mask(Image.new("L", size, 255))
    assert covered.shape == (16, 16)
    assert covered.any()
    assert as_seen(image, how, most=32).size == (
        size if how == "squash" else as_seen_size(how, size)
    )


def as_seen_size(how: str, size: tuple[int, int]) -> tuple[int, int]:
    side = min(32, max(size) if how == "letterbox" else min(size))
    return side, side


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (201, 160)])
@pytest.mark.parametrize("how", RESIZES)
def test_a_mask_lies_where_its_fish_does(how: str, size: tuple[int, int]) -> None:
    fish = (size[0] // 4, size[1] // 3, size[0] // 2, size[1] // 2)
    image, mask = Image.new("RGB", size, "black"), Image.new("L", size, 0)
    image.paste("white", fish)
    mask.paste(255, fish)
    bright = Square(50, how).of_image(image)
    if how == "letterbox":  # the ground is black otherwise, and grey around it
        bright = np.where(bright == bright[0, 0], np.uint8(0), bright)
    covered = Square(50, how).of_mask(mask)
    assert set(np.unique(covered)) <= {0, 255}
    assert np.mean((bright[..., 0] > 127) != (covered > 127)) < 0.02
