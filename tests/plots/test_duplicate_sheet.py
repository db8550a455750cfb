"""The contact sheet that a person judges near-duplicates by."""

import numpy as np
import pytest

from fishcnn.plots.duplicate_sheet import (
    BOX_HEIGHT,
    BOX_WIDTH,
    LEGEND,
    LINES_A_PAGE,
    MOST_SHOWN,
    DuplicateGroup,
    duplicate_sheet,
    paginate,
    shown_first,
    suspects,
)
from fishcnn.plots.figure import figure_to_array

RED, BLUE = (0xC0, 0, 0), (20, 20, 220)


def group(
    count: int,
    suspect: tuple[int, ...] = (),
    aspect: float = 4 / 3,
    size: int | None = None,
    title: str = "Group 1",
    name: str = "1.jpg",
    class_name: str = "Rui",
) -> DuplicateGroup:
    return DuplicateGroup(
        title=title,
        images=np.full((count, 20, 20, 3), BLUE, np.uint8),
        aspect=np.full(count, aspect, np.float32),
        names=[name] * count,
        classes=[class_name] * count,
        suspect=np.isin(np.arange(count), suspect),
        size=size or count,
    )


def count(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((pixels == colour).all(-1).sum())


@pytest.mark.parametrize(
    ("aspect", "width", "height"), [(1.0, 114, 114), (4.0, 152, 38), (0.25, 28, 114)]
)
def test_images_get_their_shape_back(aspect: float, width: int, height: int) -> None:
    pixels = figure_to_array(duplicate_sheet([group(1, aspect=aspect)], "Near-duplicates"))
    blue = (pixels == BLUE).all(-1)
    # Their frames cover a pixel of either edge.
    assert blue.any(0).sum() == pytest.approx(width, abs=2)
    assert blue.any(1).sum() == pytest.approx(height, abs=2)


def test_only_labels_that_disagree_are_red() -> None:
    plain = figure_to_array(duplicate_sheet([group(3)], "Near-duplicates"))
    mixed = figure_to_array(duplicate_sheet([group(3, suspect=(2,))], "Near-duplicates"))
    assert count(plain, RED) == 0
    image = (mixed == BLUE).all(-1).any(0).nonzero()[0]
    third = image.min() + 2 * (image.max() - image.min()) // 3
    below_title = mixed[80:-50]  # above the legend
    assert count(below_title[:, :third], RED) == 0
    # A frame of a pixel or more around the third image.
    assert count(below_title[:, third:], RED) > 2 * (BOX_WIDTH + BOX_HEIGHT)


def test_the_red_frame_is_explained_where_there_is_one() -> None:
    plain, mixed = (duplicate_sheet([group(3, suspect=some)], "Title") for some in ((), (2,)))
    said = [[text.get_text() for text in sheet.axes[0].texts] for sheet in (plain, mixed)]
    assert [LEGEND in texts for texts in said] == [False, True]


def test_of_a_long_name_the_file_is_kept() -> None:
    sheets = [
        duplicate_sheet([group(2, name=f"{f}/0001.jpg")], "Title") for f in ("Rui", "Rui" * 20)
    ]
    first, second = ([text.get_text() for text in sheet.axes[0].texts] for sheet in sheets)
    assert "Rui/0001.jpg" in first
    assert "…/0001.jpg" in second


def test_the_minority_is_suspect_and_without_a_majority_everybody() -> None:
    assert suspects(np.array([4, 4, 4])).tolist() == [False, False, False]
    assert suspects(np.array([4, 2, 4])).tolist() == [False, True, False]
    assert suspects(np.array([4, 2])).tolist() == [True, True]
    assert suspects(np.array([4, 4, 2, 1])).tolist() == [True, True, True, True]


def test_a_large_group_shows_its_suspects_first() -> None:
    suspect = np.zeros(40, bool)
    suspect[[30, 39]] = True
    assert shown_first(suspect).tolist() == [30, 39, *range(14)]
    assert shown_first(suspect[:MOST_SHOWN]).tolist() == list(range(MOST_SHOWN))


def test_every_group_is_on_one_page_that_is_not_too_long() -> None:
    sizes = [2] * 25 + [40] * 3 + [2]
    pages = paginate(sizes)
    assert [index for page in pages for index in page] == list(range(29))
    lines = [sum(2 if sizes[index] > 8 else 1 for index in page) for page in pages]
    assert lines == [LINES_A_PAGE, LINES_A_PAGE, 9, 3]
    assert paginate([]) == []
    assert paginate([500]) == [range(1)]


def test_what_is_not_shown_is_counted() -> None:
    figure = duplicate_sheet([group(MOST_SHOWN, size=40, title="Group 3: 40 images")], "All")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "Group 3: 40 images; 24 more not shown" in texts


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "রুই মাছ.jpg", "鲤鱼.jpg", "$1_$2.jpg"])
def test_names_stay_below_their_image(name: str) -> None:
    figure = duplicate_sheet([group(2, title=name, name=name, class_name=name)], name)
    figure_to_array(figure)
    width = figure.get_figwidth() * figure.dpi
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= width
        if text.get_position()[1] > 80:
            assert box.width <= BOX_WIDTH + 1


def test_a_page_is_as_high_as_its_groups() -> None:
    one, two = (duplicate_sheet([group(2)] * n, "All") for n in (1, 2))
    wide = duplicate_sheet([group(16)], "All")
    assert two.get_figheight() > one.get_figheight()
    assert wide.get_figwidth() > 1.5 * one.get_figwidth()
    assert wide.get_figheight() > one.get_figheight()
