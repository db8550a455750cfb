"""Crops, shear and perspective: which part of the original ends up where, worked out by hand."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from fishcnn.data.augmentation.draws import Draws
from fishcnn.data.augmentation.geometry import draw_crop, draw_geometry, warp
from fishcnn.data.augmentation.recipe import Recipe

on_cpu = partial(Draws, device=torch.device("cpu"))
CONF = Path(__file__).parents[3] / "conf" / "augment"
NONE = Recipe.from_config(OmegaConf.to_container(OmegaConf.load(CONF / "none.yaml")))  # type: ignore[arg-type]
N = 4000


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def is_uniform(values: Tensor, low: float, high: float) -> bool:
    """Whether N numbers could be drawn evenly from a range, and none from outside it."""
    deciles = torch.linspace(0, 1, 11)
    error = (values.double().quantile(deciles.double()) - low) / (high - low) - deciles
    return bool(error.abs().max() < 0.03 and values.min() >= low and values.max() <= high)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_a_shear_has_its_angle_in_the_original_however_wide(aspect: float) -> None:
    homography = draw_geometry(replace(NONE, shear=30.0), torch.full((N,), aspect), on_cpu(N))
    # In pixels of the original a column leans by tan(angle); stored columns are squashed by aspect.
    angles = (homography[:, 0, 1] * aspect).atan().rad2deg()
    assert is_uniform(angles, -30, 30)
    homography[:, 0, 1] = 0
    assert torch.equal(homography, torch.eye(3).expand(N, 3, 3))


def test_a_sheared_line_in_a_wide_image_is_where_a_ruler_puts_it() -> None:
    # The original is 200 x 100; a shear of 45 degrees moves what is 20 pixels below the middle by
    # 20 pixels, which are 10 of the stored 100 columns.
    stored = torch.zeros(1, 100, 100, 3, dtype=torch.uint8)
    stored[:, :, 50] = 255
    drawn = draw_geometry(replace(NONE, shear=60.0), torch.full((N,), 2.0), on_cpu(N))
    slope = drawn[:, 0, 1] * 2
    half = drawn[(slope - 1).abs().argmin()].unsqueeze(0)
    out = warp(stored, half, size=100, fill=(0.0, 0.0, 0.0))[0, 0]
    # Row 70 is 20.5 rows below the middle, column 50 half a column beside it.
    assert abs(int(out[70].argmax()) - 40) <= 1
    assert abs(int(out[29].argmax()) - 60) <= 1


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_perspective_moves_each_corner_inward_by_up_to_its_strength(strength: float) -> None:
    homography = draw_geometry(replace(NONE, perspective=strength), torch.ones(N), on_cpu(N))
    corners = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
    mapped = corners @ homography.transpose(1, 2)
    seen = mapped[..., :2] / mapped[..., 2:]
    inward = 1 - seen * corners[:, :2]
    for corner in range(4):
        for axis in range(2):
            # The equations lose some digits where the corners nearly meet.
            assert is_uniform(inward[:, corner, axis].clamp(0, strength), 0, strength)
    assert inward.min() > -0.001
    assert inward.max() < strength + 0.001


@pytest.mark.parametrize(
    ("aspect", "half_width", "half_height"), [(4.0, 1 / 3, 1.0), (0.25, 1.0, 1 / 3)]
)
def test_where_no_crop_fits_the_largest_of_an_allowed_shape_is_taken(
    aspect: float, half_width: float, half_height: float
) -> None:
    # Nine tenths of an image of 4:1 have no crop of 4:3 or less: that is 3:4 of its width, no more.
    recipe = replace(NONE, crop_scale=(0.9, 1.0), crop_ratio=(0.75, 4 / 3))
    found = draw_crop(recipe, torch.full((N,), aspect), on_cpu(N))
    assert found[0].unique().tolist() == pytest.approx([half_width])
    assert found[1].unique().tolist() == pytest.approx([half_height])
    for place, half in zip(found[2:], (half_width, half_height), strict=True):
        assert half == 1.0 or is_uniform(place, half - 1, 1 - half)
        assert half < 1.0 or not place.any()


def test_a_crop_takes_a_drawn_share_of_the_area_at_a_drawn_place() -> None:
    recipe = replace(NONE, crop_scale=(0.2, 0.3), crop_ratio=(0.8, 1.25))
    half_width, half_height, x, y = draw_crop(recipe, torch.full((N,), 1.5), on_cpu(N))
    assert is_uniform(half_width * half_height, 0.2, 0.3)
    assert is_uniform((half_width / half_height * 1.5).log(), math.log(0.8), math.log(1.25))
    assert is_uniform(x / (1 - half_width), -1, 1)
    assert is_uniform(y / (1 - half_height), -1, 1)


def test_without_a_crop_an_image_of_any_shape_is_whole() -> None:
    crops = draw_crop(NONE, torch.tensor([0.1, 1, 9]), on_cpu(3))
    for found, value in zip(crops, (1, 1, 0, 0), strict=True):
        assert found.tolist() == [value] * 3


def test_an_image_is_cropped_and_flipped_before_it_is_turned_about_its_own_centre() -> None:
    recipe = replace(NONE, crop_scale=(0.25, 0.25), crop_ratio=(1.0, 1.0), flip=1.0, rotation=90.0)
    homography = draw_geometry(recipe, torch.ones(N), on_cpu(N))
    # The output is a square of half the side wherever it lies, and mirrored.
    assert homography[:, :2, :2].det().tolist() == pytest.approx([-0.25] * N, abs=1e-4)
    # Its centre is turned with the crop: no further from the centre than a corner.
    distance = homography[:, :2, 2].norm(dim=1)
    assert distance.max() <= 0.5 * math.sqrt(2) + 1e-4
    assert distance.max() > 0.6
