from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fishcnn.data.inspection.borders import find_bars
from fishcnn.data.rendering.render import render_fish

Pixels = NDArray[np.uint8]


def photograph(seed: int = 0, side: int = 100) -> Pixels:
    """Blurred noise: an image without one straight line."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 220, (12, 12, 3), dtype=np.uint8))
    fine = rng.integers(-12, 13, (side, side, 3))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int64)
    return np.clip(smooth + fine, 0, 255).astype(np.uint8)


def written(image: Pixels, text: str, top: int, colour: tuple[int, int, int]) -> Pixels:
    sheet = Image.fromarray(image)
    ImageDraw.Draw(sheet).text((8, top), text, fill=colour, font=ImageFont.load_default(8))
    return np.asarray(sheet)


def test_a_photograph_without_bars_has_none() -> None:
    for seed in range(20):
        bars = find_bars(photograph(seed))
        assert not bars
        assert not bars.mask.any()
        assert bars.captions == ()


@pytest.mark.parametrize("colour", [0, 255, 120])
def test_a_letterbox_is_as_deep_as_it_is(colour: int) -> None:
    image = photograph()
    image[:12] = image[-20:] = colour
    bars = find_bars(image)
    assert (bars.top, bars.bottom, bars.left, bars.right) == (0.12, 0.2, 0, 0)
    assert bars.captions == ()
    assert bars.mask[:12].all()
    assert bars.mask[80:].all()
    assert not bars.mask[12:80].any()


def test_a_white_frame_has_four_sides() -> None:
    image = photograph()
    image[:5] = image[-5:] = image[:, :7] = image[:, -3:] = 255
    bars = find_bars(image)
    assert (bars.top, bars.bottom, bars.left, bars.right) == (0.05, 0.05, 0.07, 0.03)
    assert int((~bars.mask).sum()) == 90 * 90


def test_bars_beside_a_photograph_end_at_a_caption_below_all_of_it() -> None:
    image = photograph()
    image[:, :15] = image[:, -15:] = 0
    image[-10:] = 255
    bars = find_bars(image)
    assert (bars.top, bars.bottom, bars.left, bars.right) == (0, 0.1, 0.15, 0.15)


def test_an_agencys_bar_with_text_is_a_caption() -> None:
    image = photograph()
    image[-12:] = 0
    image = written(image, "agency - Image 4XB1", 89, (255, 255, 255))
    bars = find_bars(image)
    assert bars.bottom == 0.12
    assert bars.captions == ("bottom",)
    assert bars.top == 0


def test_a_studio_background_is_no_bar() -> None:
    image = np.full((100, 100, 3), 255, np.uint8)
    sheet = Image.fromarray(image)
    ImageDraw.Draw(sheet).ellipse((10, 30, 90, 70), fill=(90, 120, 140))
    assert not find_bars(np.asarray(sheet))


def test_small_print_on_a_studio_background_is_a_caption() -> None:
    sheet = Image.new("RGB", (100, 100), "white")
    ImageDraw.Draw(sheet).ellipse((10, 20, 90, 70), fill=(90, 120, 140))
    image = written(np.asarray(sheet), "photographs.com 1529377", 88, (60, 60, 60))
    bars = find_bars(image)
    assert bars.captions == ("bottom",)
    assert 0.08 < bars.bottom <= 0.12


def test_a_jpeg_of_a_letterbox_is_still_a_letterbox(tmp_path: Path) -> None:
    image = photograph(side=120)
    image[:15] = image[-15:] = (15, 119, 174)
    Image.fromarray(image).save(tmp_path / "fish.jpg", quality=92)
    bars = find_bars(np.asarray(Image.open(tmp_path / "fish.jpg").resize((100, 100))))
    assert (bars.top, bars.bottom) == pytest.approx((0.125, 0.125), abs=0.016)


def test_a_image_of_one_colour_has_no_bars() -> None:
    assert not find_bars(np.full((64, 64, 3), 200, np.uint8))


def test_rendered_water_planks_and_paper_are_no_bars() -> None:
    accused = 0
    for index in range(200):
        rng = np.random.default_rng([7, index])
        image, _ = render_fish(index % 20, rng, long_side=160, marker=False)
        accused += bool(find_bars(np.asarray(Image.fromarray(image).resize((128, 128)))))
    assert accused <= 2


def test_what_is_no_colour_image_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\), not float64 \(8, 8, 3\)"):
        find_bars(np.zeros((8, 8, 3)))  # type: ignore[arg-type]
