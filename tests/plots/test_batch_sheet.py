import numpy as np
import pytest
from matplotlib.figure import Figure

from fishcnn.plots.batch_sheet import batch_sheet

CLASSES = ["Rui", "Hilsa", "Koi"]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_each_image_stands_over_its_label() -> None:
    figure = batch_sheet(np.zeros((2, 16, 16, 3)), np.eye(3)[[2, 0]], CLASSES, "Batch")
    assert texts(figure) == ["Batch", "Koi", "Rui"]


def test_a_mixed_image_has_both_labels_with_their_shares() -> None:
    targets = np.array([[0.25, 0, 0.75], [0, 1, 0], [0.999, 0.001, 0]])
    figure = batch_sheet(np.zeros((3, 16, 16, 3)), targets, CLASSES, "Batch")
    assert texts(figure) == ["Batch", "75% Koi", "25% Rui", "Hilsa", "Rui"]


@pytest.mark.parametrize("count", [1, 2, 12])
def test_the_pixels_are_those_of_the_images_on_a_page_that_fits_a_card(count: int) -> None:
    images = np.random.default_rng(count).random((count, 16, 16, 3))
    (page,) = batch_sheet(images, np.eye(3)[[1] * count], CLASSES, "Batch").axes[0].images
    pixels = np.asarray(page.get_array())
    assert pixels.shape[1] < 450  # a card of TensorBoard has some 400
    expected = (images * 255 + 0.5).astype(np.uint8)[0].repeat(8, 0).repeat(8, 1)
    rows, columns = np.nonzero((pixels == expected[0, 0]).all(2))
    top, left = rows.min(), columns[rows == rows.min()].min()
    assert np.array_equal(pixels[top : top + 128, left : left + 128], expected)


def test_a_damaged_image_is_drawn_all_the_same() -> None:
    images = np.full((1, 300, 200, 3), np.nan)
    assert texts(batch_sheet(images, np.eye(3)[:1], CLASSES, "$1_$2")) == ["$1_$2", "Rui"]


@pytest.mark.parametrize("size", [1, 16, 96, 127, 128, 224, 255, 300, 600])
def test_images_of_any_size_give_a_page_that_fits_a_card(size: int) -> None:
    figure = batch_sheet(np.zeros((3, size, size, 3)), np.eye(3), CLASSES, "Batch")
    assert 400 < np.asarray(figure.axes[0].images[0].get_array()).shape[1] < 470
