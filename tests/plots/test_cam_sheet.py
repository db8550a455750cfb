"""The sheet says in pixels, colours and words what its arrays say."""

import sys
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from fishcnn.plots import cam_sheet
from fishcnn.plots.cam_sheet import about_maps, grad_cam_sheet, jet_colours, overlay
from fishcnn.plots.figure import INK, figure_to_array
from fishcnn.plots.fonts import missing_glyphs_allowed

LONG = [
    "Labeo rohita, freshwater, adult specimen",
    "Hypophthalmichthys molitrix, silver carp",
    "রুই মাছ বাংলাদেশের জনপ্রিয় মিঠা পানির ম",
    "草鱼中国四大家鱼之一草鱼中国四大家鱼之一草鱼中国四大家鱼之一草鱼中国四大家鱼之一",
]


def images_and_maps(
    count: int, size: int = 128
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    rng = np.random.default_rng(count * size)
    images = rng.random((count, size, size, 3), dtype=np.float32)
    return images, rng.random((count, size, size), dtype=np.float32)


def sheet(count: int = 2, size: int = 128, **changed: object) -> Figure:
    images, maps = images_and_maps(count, size)
    names = [f"Fish {i}" for i in range(count)]
    given: dict[str, Any] = {
        "images": images,
        "maps": maps,
        "true_names": names,
        "predicted_names": names,
        "probabilities": np.full(count, 0.87),
        "title": "Epoch 3",
    }
    return grad_cam_sheet(**given | changed)


def words(figure: Figure) -> dict[str, Text]:
    return {text.get_text(): text for text in figure.findobj(Text) if text.get_text()}


def boxes(figure: Figure) -> list[npt.NDArray[np.float64]]:
    """Extents (left, bottom, right, top) in pixels of all texts, after a draw."""
    figure_to_array(figure)
    renderer = figure.canvas.get_renderer()
    with missing_glyphs_allowed():
        return [t.get_window_extent(renderer).extents for t in words(figure).values()]


def overlapping(extents: list[npt.NDArray[np.float64]]) -> int:
    left, bottom, right, top = np.transpose(extents)
    # Two pixels of slack: boxes of letters contain white space.
    apart_x = left[:, None] + 2 >= right[None, :]
    apart_y = bottom[:, None] + 2 >= top[None, :]
    apart = apart_x | apart_x.T | apart_y | apart_y.T
    return int((~apart).sum() - len(extents)) // 2


def test_a_blend_is_six_tenths_image_and_four_tenths_jet() -> None:
    images, maps = images_and_maps(3, 16)
    jet = matplotlib.colormaps["jet"](maps)[..., :3]
    np.testing.assert_allclose(overlay(images, maps, "blend"), 0.6 * images + 0.4 * jet, atol=1e-6)
    one = overlay(np.array([1.0, 0.5, 0.0]), np.array(0.0), "blend")  # jet begins with (0, 0, 0.5)
    np.testing.assert_allclose(one, [0.6, 0.3, 0.2], atol=1e-6)


def test_an_image_keeps_its_own_colours_where_nothing_speaks_for_the_class() -> None:
    images, maps = images_and_maps(3, 16)
    maps[:, :8] = 0
    maps[0, 0, 0] = np.nan
    laid = overlay(images, maps)
    np.testing.assert_allclose(laid[:, :8], images[:, :8], atol=1e-6)
    red = 0.4 * images + [0.3, 0, 0]  # jet ends with (0.5, 0, 0)
    np.testing.assert_allclose(overlay(images, np.ones_like(maps)), red, atol=1e-6)
    # The more evidence, the more of the map's colour.
    grey = np.full((5, 3), 0.5)
    moved = np.abs(overlay(grey, np.linspace(0, 1, 5)) - grey).sum(1)
    assert (np.diff(moved) > 0).all()


@pytest.mark.parametrize(
    ("cells", "said", "lines"),
    [
        ([(8, 8)], "Map of 8 x 8 cells.", 1),
        ([(4, 6)], "Map of 6 x 4 cells.", 1),
        ([(16, 16), (8, 8)], "Maps of 16 x 16, 8 x 8 cells.", 1),
        (
            [(8, 8), (2, 2)],
            "Maps of 8 x 8, 2 x 2 cells: the last are too coarse to tell parts of a fish apart.",
            2,
        ),
        ([(3, 6)], "Map of 6 x 3 cells: too coarse to tell parts of a fish apart.", 2),
    ],
)
def test_the_number_of_cells_is_said_and_what_helps_if_they_are_few(
    cells: list[tuple[int, int]], said: str, lines: int
) -> None:
    notes = about_maps("what speaks for the predicted class", cells=cells).split("\n")
    first, *more = notes[2:]
    assert first == said
    assert len(more) == lines - 1
    assert all("larger image_size or fewer blocks" in line for line in more)
    if len(cells) == 1:
        figure = sheet(8, cells=cells[0], narrow=True)
        assert set(notes) <= words(figure).keys()  # none of them cut
        assert not overlapping(boxes(figure))


@pytest.mark.parametrize("of", ["what speaks for class Rui", "what stands out, whatever the class"])
def test_what_is_said_of_colours_is_a_few_sentences_about_what_the_maps_are_of(of: str) -> None:
    said = about_maps(of, "evidence", [(8, 8)])
    assert all(line.endswith(".") and line[0].isupper() for line in said.split("\n"))
    assert said.startswith(f"Red: most of {of}.")
    assert "in an overlay the image's own colours: none of it" in said
    assert "own colours" not in about_maps(of, "blend")


def test_jet_goes_from_blue_to_red_and_takes_any_number() -> None:
    colours = jet_colours(np.array([0, 1, -3, 7, np.nan, np.inf, -np.inf], dtype=np.float32))
    blue, red = [0, 0, 0.5], [0.5, 0, 0]
    np.testing.assert_allclose(colours, [blue, red, blue, red, blue, red, blue], atol=1e-6)


def test_below_its_caption_stands_every_pixel_of_image_map_and_overlay() -> None:
    images, maps = images_and_maps(8)
    figure = sheet(8, images=images, maps=maps)
    drawn = figure_to_array(figure).astype(np.float32) / 255
    caption = words(figure)["true: Fish 5 / predicted: Fish 5 87%"].get_window_extent()
    panels = (images[5], jet_colours(maps[5]), overlay(images[5], maps[5]))
    for panel, left in zip(panels, (0, 132, 264), strict=True):
        # Find the tile by its first row, then compare all of it.
        first = np.lib.stride_tricks.sliding_window_view(drawn[:, :, 0], 8, axis=1)
        hits = np.argwhere(np.abs(first - panel[0, :8, 0]).max(axis=-1) < 3e-3)
        assert len(hits) == 1
        y, x = hits[0]
        assert x == pytest.approx(caption.x0 + left, abs=2)
        assert 0 <= y - (len(drawn) - caption.y0) < 10
        assert np.abs(drawn[y : y + 128, x : x + 128] - panel).max() < 3e-3


def test_eight_images_stand_in_two_columns_of_triples() -> None:
    height, width, _ = figure_to_array(sheet(8)).shape
    assert 2 * 3 * 128 < width < 2 * 3 * 128 + 120
    assert 4 * 128 < height < 4 * 128 + 250
    headers = [t for t in sheet(8).findobj(Text) if t.get_text() == "overlay"]
    assert len(headers) == 2


@pytest.mark.parametrize("size", [16, 64, 96, 127, 224, 300])
def test_a_narrow_sheet_fits_a_card_of_tensorboard(size: int) -> None:
    height, width, _ = figure_to_array(sheet(8, size, narrow=True)).shape
    assert 400 < width < 470
    assert height > 8 * 128


@pytest.mark.parametrize(
    ("size", "shown"), [(16, 128), (100, 200), (128, 128), (224, 224), (300, 150), (512, 128)]
)
def test_images_of_any_size_take_128_pixels_or_more(size: int, shown: int) -> None:
    tiles = np.zeros((1, 3, size, size, 3), dtype=np.uint8)
    tiles[:, :, : size // 2] = 200
    resized = cam_sheet.to_screen_size(tiles)
    assert resized.shape == (1, 3, shown, shown, 3)
    assert resized.mean() == pytest.approx(100, abs=1)


def test_a_caption_is_red_only_where_the_network_is_wrong() -> None:
    figure = sheet(2, true_names=["Rui", "Boal"], predicted_names=["Katla", "Boal"])
    texts = words(figure)
    assert to_hex(texts["true: Rui / predicted: Katla 87%"].get_color()) == cam_sheet.WRONG
    assert to_hex(texts["true: Boal / predicted: Boal 87%"].get_color()) == INK


def test_a_map_of_zeros_says_no_positive_evidence() -> None:
    images, maps = images_and_maps(3)
    maps[1] = 0
    figure = sheet(3, images=images, maps=maps)
    (remark,) = [t for t in figure.findobj(Text) if t.get_text() == "no positive evidence"]
    drawn = figure_to_array(figure)
    height = drawn.shape[0]
    left, bottom, right, top = remark.get_window_extent().extents
    assert right - left < 128
    # The words stand on the dark blue of an all-zero heat map, not beside it.
    corners = drawn[[height - int(top) - 3, height - int(bottom) + 3]][:, [int(left), int(right)]]
    assert (np.abs(corners.astype(int) - [0, 0, 127]) <= 1).all()


def test_a_map_that_is_not_a_number_says_so_and_draws() -> None:
    images, maps = images_and_maps(2)
    maps[0, 5, 5] = np.nan
    images[1] = np.inf
    figure = sheet(2, images=images, maps=maps, probabilities=[np.nan, 1.0])
    assert {"not a number", "true: Fish 0 / predicted: Fish 0 -"} <= words(figure).keys()
    figure_to_array(figure)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_names_of_forty_letters_in_any_script_do_not_overlap(count: int) -> None:
    names = (LONG * count)[:count]
    figure = sheet(count, true_names=names, predicted_names=names[::-1], title="Epoch " * 60)
    extents = boxes(figure)
    assert overlapping(extents) == 0
    assert min(left for left, *_ in extents) >= 0
    assert max(right for _, _, right, _ in extents) <= figure.bbox.width


def test_forty_latin_letters_are_shown_whole() -> None:
    figure = sheet(1, true_names=[LONG[0]], predicted_names=[LONG[1]])
    assert {f"true: {LONG[0]}", f"predicted: {LONG[1]} 87%"} <= words(figure).keys()


def test_dollar_signs_in_names_are_no_formula() -> None:
    names = ["$x_{$y$", "a$b$c"]
    figure_to_array(sheet(2, true_names=names, predicted_names=names, title="$\\frac$"))


def test_letters_that_no_font_has_are_drawn_without_a_warning() -> None:
    figure_to_array(sheet(2, true_names=["\ue123", "Rui"], title="\ue124"))  # errors here


@pytest.mark.parametrize(
    "changed",
    [
        {"maps": np.zeros((1, 128, 128), np.float32)},
        {"maps": np.zeros((2, 64, 128), np.float32)},
        {"true_names": ["Rui"]},
        {"probabilities": [0.5]},
    ],
)
def test_arguments_that_do_not_agree_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one map, two names and one probability"):
        sheet(2, **changed)


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="one map, two names and one probability"):
        sheet(0)


def test_pyplot_keeps_no_figure_alive() -> None:
    figure_to_array(sheet(1))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
