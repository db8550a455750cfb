from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fishcnn.cam.methods import METHODS
from fishcnn.commands.explain.drawing import (
    LONG_SIDE,
    LONGEST,
    NARROWEST,
    SHEET_SIDE,
    SHORT_SIDE,
    drawing,
    photograph,
    sheet,
    tile,
)
from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.question import Question
from fishcnn.plots.cam_sheet import TILE_GAP
from fishcnn.plots.figure import figure_to_array
from fishcnn.utils.errors import FishError

GREEN = (0, 160, 0)
RED_END, BLUE_END = (127, 0, 0), (0, 0, 127)  # of jet


def row(**changes: object) -> Row:
    given = {
        "path": "photos/a.jpg",
        "true": "rui",
        "top": (("rui", 0.9), ("catla", 0.08)),
        "target": "rui",
        "against": None,
        "energy": (0.5,),
        "png": "00001-a.png",
        "error": None,
    }
    return Row(**(given | changes))  # type: ignore[arg-type]


def question(*layers: str, **changes: object) -> Question:
    given = {"method": METHODS["gradcam"], "layers": layers}
    return Question(**(given | changes))  # type: ignore[arg-type]


def left_half(layers: int = 1) -> np.ndarray:
    maps = np.zeros((layers, 8, 8), np.float32)
    maps[:, :, :4] = 1
    return maps


def has_colour(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (np.abs(pixels.astype(int) - colour) <= 8).all(2)


def columns_of(pixels: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int]:
    """First and last column in which a colour stands more than 20 times."""
    found = np.flatnonzero(has_colour(pixels, colour).sum(0) > 20)
    return int(found[0]), int(found[-1])


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ((1600, 1200), (LONG_SIDE, 240)),
        ((30, 40), (240, LONG_SIDE)),  # a small one is enlarged
        ((1600, 200), (LONGEST, 60)),
        ((300, 1200), (80, LONG_SIDE)),
        ((200, 1000), (SHORT_SIDE, 320)),
        ((4000, 20), (LONGEST, 2)),
    ],
)
def test_a_photograph_keeps_its_shape_at_a_readable_size(
    tmp_path: Path, stored: tuple[int, int], shown: tuple[int, int]
) -> None:
    Image.new("RGB", stored).save(tmp_path / "a.png")
    assert photograph(tmp_path / "a.png").size == shown


def test_a_photograph_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(FishError, match=r"gone\.jpg: no such file"):
        photograph(tmp_path / "gone.jpg")


def test_a_drawing_shows_original_heat_map_and_overlay_at_the_images_shape() -> None:
    photo = Image.new("RGB", (200, 100), GREEN)
    pixels = figure_to_array(drawing(photo, left_half(), row(), question("blocks.1")))
    first, last = columns_of(pixels, GREEN)
    # The overlay's right half is as green as the image, for nothing is marked there.
    assert last - first + 1 == 3 * 200 + 2 * TILE_GAP
    green = has_colour(pixels, GREEN).sum(0) > 20
    assert green[first : first + 200].all()
    assert not green[first + 200 : first + 508].any()
    assert has_colour(pixels, GREEN)[:, first + 50].sum() == 100
    # The heat map is red on its left half, where the image's left half is marked.
    red, blue = columns_of(pixels, RED_END), columns_of(pixels, BLUE_END)
    assert first + 204 == red[0] < red[1] < first + 304 < blue[0] < blue[1] == first + 403
    mixed = tuple(round(0.4 * a + 0.6 * b) for a, b in zip(GREEN, RED_END, strict=True))
    assert columns_of(pixels, mixed)[0] == first + 408


def test_of_several_layers_each_has_a_column_with_heat_map_above_overlay() -> None:
    photo = Image.new("RGB", (200, 100), GREEN)
    maps = left_half(3)
    maps[1] = 0
    asked = question("a", "b", "c")
    pixels = figure_to_array(drawing(photo, maps, row(), asked))
    assert pixels.shape[1] >= 4 * 200
    first, _ = columns_of(pixels, GREEN)
    red = has_colour(pixels, RED_END).sum(0) > 20
    assert [bool(red[first + 204 * k + 20]) for k in range(4)] == [False, True, False, True]
    overlays = tuple(round(0.4 * a + 0.6 * b) for a, b in zip(GREEN, RED_END, strict=True))
    of_map = np.flatnonzero(has_colour(pixels, RED_END)[:, first + 224])
    of_overlay = np.flatnonzero(has_colour(pixels, overlays)[:, first + 224])
    assert of_map[-1] < of_overlay[0]


def test_the_caption_of_a_narrow_image_has_room() -> None:
    photo = Image.new("RGB", (64, 320), GREEN)
    pixels = figure_to_array(drawing(photo, left_half(), row(), question("blocks.1")))
    green = np.flatnonzero(has_colour(pixels, GREEN).sum(0) > 20)
    assert np.flatnonzero(np.diff(green) > 1)[0] + 1 == 64
    assert pixels.shape[1] >= 3 * NARROWEST


def words(figure: object) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]  # type: ignore[attr-defined]


def test_the_words_say_what_the_map_is_of() -> None:
    photo = Image.new("RGB", (300, 200), GREEN)
    found = words(drawing(photo, left_half(), row(against="catla"), question("blocks.1")))
    assert "true: rui" in found
    assert "predicted 90%: rui" in found
    assert "then 8% catla" in found
    assert "gradcam at blocks.1: for rui rather than catla" in found
    found = words(
        drawing(photo, left_half(), row(true=None), question("b", method=METHODS["eigencam"]))
    )
    assert "true: rui" not in found
    assert "eigencam at b: what stands out, whatever the class" in found
    empty = np.zeros((1, 8, 8), np.float32)
    found = words(drawing(photo, empty, row(against="rui"), question("b")))
    assert "no positive evidence" in found
    assert "gradcam at b: for rui rather than itself" in found


def test_a_sheet_holds_tiles_of_images_of_any_shape_and_with_or_without_a_true_class() -> None:
    asked = question("b", target="rui", against="catla")
    shapes = [(320, 100), (64, 320), (300, 300)]
    pair = {"against": "catla"}
    rows = [row(**pair), row(**pair, true=None), row(**pair, true="catla", path="x/c.jpg")]
    tiles = [
        tile(Image.new("RGB", shape, GREEN), left_half(), one, asked, "7:")
        for shape, one in zip(shapes, rows, strict=True)
    ]
    assert all(one.panels.shape == (3, SHEET_SIDE, SHEET_SIDE, 3) for one in tiles)
    assert [one.wrong for one in tiles] == [False, False, True]
    assert tiles[2].caption[0] == "7: x/c.jpg"
    heights = [has_colour(one.panels[0], GREEN).any(1).sum() for one in tiles]
    assert heights == [50, 160, 160]
    figure = sheet(tiles, asked, "Title")
    assert words(figure).count("gradcam at b: for rui rather than catla") == 3
    figure_to_array(figure)
