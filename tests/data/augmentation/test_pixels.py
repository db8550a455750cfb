"""Blur, erasing, colours, mixing and TrivialAugment's operations against numbers by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from omegaconf import OmegaConf
from torch import Tensor

from fishcnn.data.augmentation import trivial
from fishcnn.data.augmentation.augment import Augment
from fishcnn.data.augmentation.colour import draw_colour, jitter
from fishcnn.data.augmentation.draws import Draws
from fishcnn.data.augmentation.mixing import mix
from fishcnn.data.augmentation.recipe import HIGHEST, Recipe
from fishcnn.data.augmentation.tensors import boxes
from fishcnn.utils.errors import FishError

on_cpu = partial(Draws, device=torch.device("cpu"))
CONF = Path(__file__).parents[3] / "conf" / "augment"
NONE = Recipe.from_config(OmegaConf.to_container(OmegaConf.load(CONF / "none.yaml")))  # type: ignore[arg-type]
N = 2000


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def augmented(recipe: Recipe, images: Tensor) -> Tensor:
    """Augment uint8 images, with black outside."""
    augment = Augment(recipe, size=images.shape[1], fill=(0.0, 0.0, 0.0))
    return augment(images, torch.ones(len(images)))


def is_uniform(values: Tensor, low: float, high: float) -> bool:
    """Whether numbers could be drawn evenly from a range."""
    deciles = torch.linspace(0, 1, 11, dtype=torch.float64)
    error = (values.double().quantile(deciles) - low) / (high - low) - deciles
    return bool(error.abs().max() < 0.04)


def test_blur_spreads_a_dot_alike_in_both_directions() -> None:
    dots = torch.zeros(N, 11, 11, 3, dtype=torch.uint8)
    dots[:, 5, 5] = torch.tensor([255, 128, 0], dtype=torch.uint8)
    out = augmented(replace(NONE, blur=1.0), dots)
    red = out[:, 0]
    # A Gaussian falls by r = exp(-1 / 2 sigma^2) to the next pixel and by r^4 to the one after it,
    # across and down.
    ratio = red[:, 5, 6] / red[:, 5, 5]
    assert is_uniform((-1 / (2 * ratio.log())).sqrt(), 0.5, 1.5)
    profile = torch.stack([ratio**4, ratio, torch.ones(N), ratio, ratio**4], 1)
    kernel = profile / profile.sum(1, keepdim=True)
    wanted = torch.zeros(N, 11, 11)
    wanted[:, 3:8, 3:8] = kernel.unsqueeze(1) * kernel.unsqueeze(2)
    assert torch.allclose(red, wanted, atol=1e-5)
    assert torch.allclose(out[:, 1], wanted * 128 / 255, atol=1e-5)
    assert not out[:, 2].any()


def test_blur_mirrors_the_image_at_its_border() -> None:
    ramp = torch.arange(0, 240, 30, dtype=torch.uint8).view(1, 1, 8, 1).expand(N, 8, 8, 3)
    out = augmented(replace(NONE, blur=1.0), ramp)
    inner = (ramp[0, 0, :, 0].float() / 255)[2:6]
    assert torch.allclose(out[..., 2:6], inner.expand(N, 3, 8, 4), atol=1e-5)
    # Column 0 sees columns 2, 1, 0, 1, 2: between nothing and the second column.
    assert bool((out[..., 0] > 0).all() and (out[..., 0] < 60 / 255).all())
    assert out[..., 0, 0].max() > 25 / 255


def test_as_many_images_are_blurred_as_asked_for() -> None:
    dots = torch.zeros(N, 11, 11, 3, dtype=torch.uint8)
    dots[:, 5, 5] = 255
    out = augmented(replace(NONE, blur=0.3), dots)
    blurred = out[:, 0, 5, 5] < 0.99
    assert 0.26 < blurred.float().mean() < 0.34
    assert torch.allclose(out[~blurred], dots[~blurred].permute(0, 3, 1, 2) / 255, atol=1e-5)


def test_what_is_erased_is_a_rectangle_of_a_drawn_area_shape_and_place() -> None:
    white = torch.full((800, 60, 60, 3), 255, dtype=torch.uint8)
    erased = augmented(replace(NONE, erasing=1.0), white)[:, 0] < 0.5
    rows, columns = erased.any(2), erased.any(1)
    assert torch.equal(erased, rows.unsqueeze(2) & columns.unsqueeze(1))
    # Where the border cuts nothing off; large ones seldom lie there.
    whole = ~(rows[:, 0] | rows[:, -1] | columns[:, 0] | columns[:, -1])
    height, width = rows[whole].sum(1).float(), columns[whole].sum(1).float()
    area, ratio = height * width / 60**2, width / height
    assert 0.017 < area.min() < 0.025
    assert 0.17 < area.max() < 0.21
    assert 0.34 < ratio.min() < 0.46
    assert 2.15 < ratio.max() < 2.8
    assert abs(float(ratio.log().mean())) < 0.06
    # The middles of all that is erased are anywhere.
    place = (torch.arange(60) + 0.5) / 60
    for line in (rows, columns):
        middle = (line * place).sum(1) / line.sum(1).clamp(min=1)
        assert 0.47 < middle.mean() < 0.53
        assert middle.std() > 0.2


def test_a_box_holds_the_pixels_whose_middles_lie_in_it() -> None:
    # Middles of 8 pixels are 1/16, 3/16, ...: beside the middle of the image 7/16 and 9/16.
    half, narrow, wide = torch.full((1,), 0.5), torch.full((1,), 0.07), torch.full((1,), 0.2)
    inside = boxes(half, half, wide, narrow, torch.zeros(1, 3, 8, 8))[0, 0]
    assert inside.nonzero().tolist() == [[row, column] for row in (3, 4) for column in range(2, 6)]


def test_what_is_erased_has_the_fill_colour_and_the_rest_is_kept() -> None:
    images = torch.full((100, 16, 16, 3), 255, dtype=torch.uint8)
    augment = Augment(replace(NONE, erasing=0.5), size=16, fill=(0.25, 0.5, 0.75))
    out = augment(images, torch.ones(100))
    colours = torch.unique(out.permute(0, 2, 3, 1).reshape(-1, 3).round(decimals=4), dim=0)
    assert colours.tolist() == [[0.25, 0.5, 0.75], [1.0, 1.0, 1.0]]


def test_colour_factors_are_never_negative_and_hue_turns_both_ways() -> None:
    recipe = replace(NONE, brightness=2.0, contrast=0.5, saturation=1.0, hue=0.25)
    columns = draw_colour(recipe, on_cpu(N)).unbind(1)
    ranges = [(0.0, 3.0), (0.5, 1.5), (0.0, 2.0), (-0.25, 0.25)]
    for column, (low, high) in zip(columns, ranges, strict=True):
        assert is_uniform(column, low, high)
        assert low <= column.min() <= column.max() <= high


def test_colour_changes_follow_one_another_as_in_torchvision() -> None:
    # Far from black and white, where torchvision clips in between.
    images = torch.rand(4, 3, 8, 8) * 0.3 + 0.35
    factors = torch.tensor([[0.9, 1.2, 0.6], [1.1, 0.7, 1.4], [1.2, 0.8, 0.2], [0.8, 1.1, 1.1]])
    ours = jitter(images, *factors.unbind(1), torch.zeros(4))
    for image, out, (brightness, contrast, saturation) in zip(
        images, ours, factors.tolist(), strict=True
    ):
        theirs = TF.adjust_contrast(TF.adjust_brightness(image, brightness), contrast)
        assert torch.allclose(out, TF.adjust_saturation(theirs, saturation), atol=0.002)


def test_half_a_turn_of_the_hue_mirrors_colours_at_their_grey() -> None:
    images = torch.rand(2, 3, 4, 4) * 0.3 + 0.35
    one, turns = torch.ones(2), torch.tensor([0.5, -0.5])
    luma = (images * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    assert torch.allclose(jitter(images, one, one, one, turns), 2 * luma - images, atol=1e-3)


def drawn(operation: str, *strengths: float) -> trivial.Draw:
    number = trivial.OPERATIONS.index(operation)
    return trivial.Draw(torch.full((len(strengths),), number), torch.tensor(strengths))


def test_trivial_draws_every_operation_equally_often_and_every_strength() -> None:
    found = trivial.draw(on_cpu(14 * N))
    counts = found.operation.bincount()
    assert len(counts) == 14
    assert (counts - N).abs().max() < 0.1 * N
    assert is_uniform(found.strength, -1, 1)


@pytest.mark.parametrize(
    ("operation", "row", "column", "full"),
    [
        ("shear_x", 0, 1, 0.3 / 2),
        ("shear_y", 1, 0, 0.3 * 2),
        # 0.3 of the whole side, which is 2 units long.
        ("translate_x", 0, 2, 0.6),
        ("translate_y", 1, 2, 0.6),
    ],
)
def test_trivial_moves_a_wide_image_by_the_drawn_share(
    operation: str, row: int, column: int, full: float
) -> None:
    strengths = (-1.0, 0.0, 0.5, 1.0)
    homography = drawn(operation, *strengths).homography(torch.full((4,), 2.0))
    expected = torch.eye(3).repeat(4, 1, 1)
    expected[:, row, column] = full * torch.tensor(strengths)
    assert torch.allclose(homography, expected, atol=1e-6)


def test_trivial_rotates_by_up_to_thirty_degrees() -> None:
    homography = drawn("rotate", -1.0, 0.5).homography(torch.ones(2))
    angles = torch.atan2(homography[:, 1, 0], homography[:, 0, 0]).rad2deg()
    assert angles.tolist() == pytest.approx([-30, 15], abs=1e-4)


@pytest.mark.parametrize("operation", ["brightness", "contrast", "saturation"])
def test_trivial_changes_one_colour_factor_by_up_to_nine_tenths(operation: str) -> None:
    factors = drawn(operation, -1.0, 0.0, 1.0).colour_factors()
    expected = torch.ones(3, 4)
    names = ("brightness", "contrast", "saturation")
    expected[:, names.index(operation)] = torch.tensor([0.1, 1.0, 1.9])
    assert torch.allclose(factors, expected)


def test_trivial_sharpens_above_zero_and_smooths_below() -> None:
    dot = torch.full((1, 3, 5, 5), 0.4)
    dot[..., 2, 2] = 0.66
    # Smoothed, the dot has 5 of 13 parts of itself and its neighbours one; the factor is 1 + 0.9 s.
    # Strength 1 goes 0.9 of the way beyond, -1 leaves a tenth of the way from the smooth one.
    for strength, factor in ((1.0, 1.9), (-1.0, 0.1), (0.0, 1.0)):
        out = trivial.sharpness(dot, torch.tensor([strength]))[0, 0]
        smooth = 0.4 + 0.26 * 5 / 13
        assert float(out[2, 2]) == pytest.approx(smooth + factor * (0.66 - smooth), abs=1e-5)
        beside = 0.4 + 0.26 / 13
        assert float(out[1, 1]) == pytest.approx(beside + factor * (0.4 - beside), abs=1e-5)
        assert out[0].tolist() == pytest.approx([0.4] * 5, abs=1e-5)


def test_trivial_posterizes_to_eight_to_four_bits() -> None:
    levels = (torch.arange(256) / 255).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    for strength, kept in ((0.0, 256), (0.25, 128), (-0.5, 64), (1.0, 16)):
        out = trivial.posterize(levels, torch.tensor([strength]))
        assert len(out.mul(255).round().unique()) == kept
        assert out.max() == pytest.approx((256 - 256 / kept) / 255)


def test_trivial_solarizes_what_is_as_bright_as_the_threshold() -> None:
    tones = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]).view(1, 1, 1, 5)
    out = trivial.solarize(tones, torch.tensor([0.5])).flatten()
    assert out.tolist() == [0.0, 0.25, 0.5, 0.25, 0.0]
    out = trivial.solarize(tones, torch.tensor([-0.25])).flatten()
    assert out.tolist() == [0.0, 0.25, 0.5, 0.25, 0.0]
    assert trivial.solarize(tones, torch.tensor([1.0])).flatten()[0] == 1.0


@pytest.mark.parametrize("operation", [trivial.autocontrast, trivial.equalize])
def test_trivial_stretches_each_colour_on_its_own_and_leaves_a_constant_one(
    operation: Callable[[Tensor, Tensor], Tensor],
) -> None:
    levels = torch.full((1, 3, 32, 32), 100 / 255)
    levels[:, 0] = torch.arange(1024).view(32, 32) / 2048 + 0.25
    levels[:, 2, :, :8] = 120 / 255
    out = operation(levels, torch.ones(1))[0]
    assert (out[0].min(), out[0].max()) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01))
    assert torch.allclose(out[1], torch.full((32, 32), 100 / 255))
    assert out[2].unique().numel() == 2


def test_mixup_shares_follow_the_beta_distribution() -> None:
    for alpha, deviation in ((0.2, math.sqrt(1 / (4 * 1.4))), (4.0, math.sqrt(1 / (4 * 9)))):
        images = torch.arange(float(N)).view(N, 1, 1, 1).expand(N, 3, 1, 1)
        _, targets = mix(images, torch.eye(N), replace(NONE, mixup=alpha))
        shares = targets.diagonal()
        assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
        assert float(shares.std()) == pytest.approx(deviation, rel=0.05)


def test_cutmix_pastes_one_box_of_the_drawn_area_at_the_same_place() -> None:
    count = 500
    rows = torch.arange(40.0).view(1, 1, 40, 1) / 100
    images = torch.arange(float(count)).view(count, 1, 1, 1) + rows.expand(count, 3, 40, 40)
    mixed, targets = mix(images, torch.eye(count), replace(NONE, cutmix=1.0))
    # Every pixel keeps the row that it had.
    assert torch.allclose(mixed.frac(), rows.expand_as(mixed), atol=1e-3)
    pasted = mixed[:, 0].floor() != torch.arange(count).view(count, 1, 1)
    lines, columns = pasted.any(2), pasted.any(1)
    assert torch.equal(pasted, lines.unsqueeze(2) & columns.unsqueeze(1))
    assert torch.allclose(1 - targets.diagonal(), pasted.float().mean((1, 2)), atol=1e-5)
    whole = ~(lines[:, 0] | lines[:, -1] | columns[:, 0] | columns[:, -1])
    height, width = lines[whole].sum(1), columns[whole].sum(1)
    assert (height - width).abs().max() <= 1
    # With alpha 1 any area is as likely as any other; those of which nothing is cut off are small.
    assert pasted.float().mean((1, 2)).max() > 0.8
    assert 0.18 < pasted.float().mean() < 0.42


def test_with_both_kinds_of_mixing_a_batch_takes_one_of_the_two() -> None:
    images = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 3, 8, 8)
    kinds = []
    for _ in range(40):
        mixed, _ = mix(images, torch.eye(64), replace(NONE, mixup=1.0, cutmix=1.0))
        kinds.append(torch.equal(mixed, mixed.round()))
    assert 10 <= sum(kinds) <= 30


@pytest.mark.parametrize("name", sorted(HIGHEST))
def test_a_recipe_reaches_from_zero_to_its_highest_value(name: str) -> None:
    highest = {"flip": 1, "rotation": 180, "shear": 60, "perspective": 1, "hue": 0.5, "blur": 1}
    highest |= {"erasing": 1, "mixup": 100, "cutmix": 100}
    high = highest.get(name, 10)
    assert getattr(replace(NONE, **{name: high}), name) == high
    assert getattr(replace(NONE, **{name: 0}), name) == 0
    for value in (high * 1.001, -0.001, float("nan"), "much"):
        with pytest.raises(FishError, match=rf"^{name}=.*: must be a number from 0 to {high:g}$"):
            replace(NONE, **{name: value})


@pytest.mark.parametrize(
    ("name", "pair", "message"),
    [
        ("crop_scale", (0.5, 1.1), "crop_scale=[0.5, 1.1]: must be at most 1.0"),
        ("crop_scale", (0.5, 0.7, 0.9), "crop_scale=[0.5, 0.7, 0.9]: must be [low, high]"),
        ("crop_ratio", (-1.0, 1.0), "crop_ratio=[-1.0, 1.0]: must be [low, high]"),
        ("crop_ratio", 1.0, "crop_ratio=1.0: must be [low, high] with 0 < low <= high"),
    ],
)
def test_a_pair_out_of_range_is_named(name: str, pair: object, message: str) -> None:
    with pytest.raises(FishError) as raised:
        replace(NONE, **{name: pair})
    assert str(raised.value).startswith(message)
    assert replace(NONE, **{name: (1.0, 1.0)})
