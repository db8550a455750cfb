import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from omegaconf import OmegaConf
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import RandomResizedCrop

from fishcnn.data.augmentation import trivial
from fishcnn.data.augmentation.augment import Augment
from fishcnn.data.augmentation.colour import draw_colour, jitter
from fishcnn.data.augmentation.draws import Draws, Share
from fishcnn.data.augmentation.geometry import draw_crop, draw_geometry, rotate, warp
from fishcnn.data.augmentation.mixing import mix
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.decoding.resize import resize
from fishcnn.utils.errors import FishError

on_cpu = partial(Draws, device=torch.device("cpu"))
NONE = OmegaConf.to_container(OmegaConf.load(Path(__file__).parents[3] / "conf/augment/none.yaml"))
BLACK = (0.0, 0.0, 0.0)


def recipe(**changes: Any) -> Recipe:
    return Recipe.from_config({**NONE, **changes})


@pytest.fixture
def photo() -> Tensor:
    """A smooth colourful picture, uint8 ``(1, 64, 64, 3)``."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)
    return (smooth * 255).round().byte().permute(0, 2, 3, 1)


def planes(photo: Tensor) -> Tensor:
    return photo.permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("aspect", [0.4, 1.0, 2.5])
def test_the_empty_recipe_leaves_pictures_as_they_are(photo: Tensor, aspect: float) -> None:
    out = Augment(recipe(), size=64, fill=BLACK)(photo, torch.tensor([aspect]))
    assert torch.allclose(out, planes(photo), atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"crop_scale": [0.5, 1.0]},
        {"rotation": 15.0},
        {"shear": 10.0},
        {"perspective": 0.3},
        {"brightness": 0.3},
        {"contrast": 0.3},
        {"saturation": 0.3},
        {"hue": 0.2},
        {"trivial": True},
        {"blur": 0.5},
        {"erasing": 0.5},
    ],
)
def test_every_picture_of_a_batch_gets_parameters_of_its_own(
    photo: Tensor, changes: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    batch = photo.expand(32, -1, -1, -1)
    out = Augment(recipe(**changes), size=64, fill=BLACK)(batch, torch.ones(32))
    assert out.shape == (32, 3, 64, 64)
    assert out.min() >= 0
    assert out.max() <= 1
    different = torch.unique(out.flatten(1).round(decimals=4), dim=0)
    # Identity, translation and the like may come up twice; one set for all would give 1.
    assert len(different) >= 12


def test_about_half_of_the_pictures_are_flipped(photo: Tensor) -> None:
    torch.manual_seed(0)
    batch = photo.expand(400, -1, -1, -1)
    out = Augment(recipe(flip=0.5), size=64, fill=BLACK)(batch, torch.ones(400))
    flipped = (out - planes(photo).flip(3)).abs().amax((1, 2, 3)) < 1e-4
    kept = (out - planes(photo)).abs().amax((1, 2, 3)) < 1e-4
    assert int(flipped.sum() + kept.sum()) == 400
    assert 160 <= int(flipped.sum()) <= 240


def test_crops_are_distributed_as_torchvision_draws_them() -> None:
    torch.manual_seed(0)
    n, width, height = 4000, 150, 100
    scale, ratio = (0.3, 0.9), (0.75, 4 / 3)
    wanted = recipe(crop_scale=list(scale), crop_ratio=list(ratio))
    half_width, half_height, x, y = draw_crop(wanted, torch.full((n,), width / height), on_cpu(n))
    assert bool(((x.abs() + half_width) <= 1 + 1e-6).all())
    assert bool(((y.abs() + half_height) <= 1 + 1e-6).all())
    area = half_width * half_height
    aspect = half_width / half_height * width / height

    picture = torch.zeros(3, height, width)
    theirs = RandomResizedCrop(8, scale=scale, ratio=ratio)
    drawn = [theirs.make_params([picture]) for _ in range(n)]
    their_area = torch.tensor([p["height"] * p["width"] / (width * height) for p in drawn])
    their_aspect = torch.tensor([p["width"] / p["height"] for p in drawn])
    for ours, other in ((area, their_area), (aspect.log(), their_aspect.log())):
        quantiles = torch.linspace(0.05, 0.95, 10)
        difference = ours.quantile(quantiles) - other.quantile(quantiles)
        assert difference.abs().max() < 0.02


def test_angles_and_colour_factors_cover_their_range_evenly() -> None:
    torch.manual_seed(0)
    n = 4000
    geometry = draw_geometry(recipe(rotation=15.0), torch.ones(n), on_cpu(n))
    angles = torch.atan2(geometry[:, 1, 0], geometry[:, 0, 0]).rad2deg()
    assert angles.abs().max() <= 15
    assert angles.std().item() == pytest.approx(15 / math.sqrt(3), rel=0.05)
    colours = draw_colour(recipe(brightness=0.2, contrast=0.3, saturation=0.4, hue=0.1), on_cpu(n))
    for column, (centre, reach) in enumerate(((1, 0.2), (1, 0.3), (1, 0.4), (0, 0.1))):
        assert (colours[:, column] - centre).abs().max() <= reach
        expected = reach / math.sqrt(3)
        assert colours[:, column].std().item() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("degrees", [-15.0, 7.0, 30.0])
def test_a_rotation_is_the_one_of_torchvision(photo: Tensor, degrees: float) -> None:
    homography = rotate(torch.tensor([math.radians(degrees)]), torch.ones(1))
    ours = warp(photo, homography, size=64, fill=BLACK)
    theirs = TF.rotate(planes(photo), degrees, InterpolationMode.BILINEAR)
    assert (ours - theirs)[..., 4:-4, 4:-4].abs().max() < 0.02


def test_a_rotation_keeps_right_angles_in_a_wide_picture() -> None:
    # A square of 40x40 original pixels in a picture of 200x100, squashed to 100x100.
    wide = torch.zeros(1, 3, 100, 200)
    wide[..., 30:70, 80:120] = 1
    squashed = torch.nn.functional.interpolate(wide, (100, 100), mode="area")
    stored = (squashed * 255).byte().permute(0, 2, 3, 1)
    homography = rotate(torch.tensor([math.radians(30)]), torch.tensor([2.0]))
    turned = warp(stored, homography, size=100, fill=BLACK)
    expected = TF.rotate(wide, 30, InterpolationMode.BILINEAR)
    expected = torch.nn.functional.interpolate(expected, (100, 100), mode="area")
    assert (turned - expected).abs().mean() < 0.01


def test_a_crop_is_the_one_of_torchvision(photo: Tensor) -> None:
    # Rows 10 to 50 and columns 6 to 38 of 64, as [-1, 1] coordinates.
    matrix = [[0.5, 0.0, 44 / 64 - 1], [0.0, 0.625, 60 / 64 - 1], [0.0, 0.0, 1.0]]
    ours = warp(photo, torch.tensor([matrix]), size=64, fill=BLACK)
    theirs = TF.resized_crop(planes(photo), 10, 6, 40, 32, [64, 64], antialias=False)
    assert (ours - theirs)[..., 2:-2, 2:-2].abs().max() < 1e-4


@pytest.mark.parametrize(
    ("position", "function", "value"),
    [
        (0, TF.adjust_brightness, 0.8),
        (1, TF.adjust_contrast, 0.7),
        (1, TF.adjust_contrast, 1.2),
        (2, TF.adjust_saturation, 0.5),
        (2, TF.adjust_saturation, 1.3),
    ],
)
def test_colour_factors_act_as_those_of_torchvision(
    photo: Tensor,
    position: int,
    function: Any,
    value: float,
) -> None:
    parameters = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    parameters[0, position] = value
    ours = jitter(planes(photo), *parameters.unbind(1))
    assert (ours - function(planes(photo), value)).abs().max() < 0.005


def test_a_hue_turn_changes_colours_but_not_their_luma(photo: Tensor) -> None:
    muted = planes(photo) * 0.3 + 0.35  # far from clipping
    zero, one = torch.zeros(1), torch.ones(1)
    turned = jitter(muted, one, one, one, torch.tensor([0.1]))
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert ((turned - muted) * luma).sum(1).abs().max() < 1e-4
    assert (turned - muted).abs().max() > 0.02
    assert torch.allclose(jitter(muted, one, one, one, zero), muted, atol=1e-5)
    # Both turn the same way round the colour circle; HSV's turn changes the luma as well.
    theirs = TF.adjust_hue(muted, 0.1) - muted
    theirs = theirs - (theirs * luma).sum(1, keepdim=True)
    assert torch.cosine_similarity((turned - muted).flatten(), theirs.flatten(), dim=0) > 0.8


@pytest.mark.parametrize(
    ("operation", "strength", "expected"),
    [
        (trivial.posterize, 1.0, lambda x: TF.posterize(x, 4)),
        (trivial.posterize, 0.5, lambda x: TF.posterize(x, 6)),
        (trivial.solarize, 0.5, lambda x: TF.solarize(x, 128)),
        (trivial.autocontrast, 0.3, TF.autocontrast),
        (trivial.equalize, 0.3, TF.equalize),
    ],
)
def test_tonal_operations_are_those_of_torchvision(
    photo: Tensor,
    operation: Any,
    strength: float,
    expected: Any,
) -> None:
    ours = operation(planes(photo), torch.tensor([strength]))
    theirs = expected(photo.permute(0, 3, 1, 2)).float() / 255
    assert (ours - theirs).abs().max() <= 2.5 / 255


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_can_compute_every_operation_deterministically(photo: Tensor) -> None:
    device = torch.device("cuda", 0)
    augment = Augment(recipe(trivial=True, blur=0.5, erasing=0.5), size=48, fill=BLACK)
    images = photo.repeat(200, 1, 1, 1).to(device)
    aspect, share = torch.ones(200, device=device), Share(0, 0, 0, 200, 0, 200)
    torch.use_deterministic_algorithms(True)
    try:
        one, other = (augment(images, aspect, Draws(200, device, share)) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(one, other)


def test_sharpness_is_that_of_torchvision_inside_the_border(photo: Tensor) -> None:
    ours = trivial.sharpness(planes(photo), torch.tensor([-0.5]))
    theirs = TF.adjust_sharpness(planes(photo), 0.55)
    assert (ours - theirs)[..., 1:-1, 1:-1].abs().max() < 0.005


def test_each_operation_of_trivial_augment_does_something() -> None:
    count = len(trivial.OPERATIONS)
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = (noise * 0.6 + 0.2).expand(count, -1, -1, -1)
    drawn = trivial.Draw(torch.arange(count), torch.full((count,), 0.7))
    identity = torch.eye(3)
    moved = (drawn.homography(torch.ones(count)) - identity).abs().amax((1, 2)) > 0.01
    recoloured = (drawn.colour_factors() - 1).abs().amax(1) > 0.01
    changed = (drawn.pixelwise(batch) - batch).abs().amax((1, 2, 3)) > 0.01
    acting = moved.int() + recoloured.int() + changed.int()
    assert acting.tolist() == [0] + [1] * (count - 1)


def test_the_recipe_applies_the_geometric_operations_too(
    photo: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated = trivial.Draw(torch.tensor([trivial.OPERATIONS.index("rotate")]), torch.ones(1))
    monkeypatch.setattr(trivial, "draw", lambda draws: rotated)
    aspect = torch.tensor([1.5])
    out = Augment(recipe(trivial=True), size=64, fill=BLACK)(photo, aspect)
    expected = warp(photo, rotate(torch.tensor([math.radians(30)]), aspect), size=64, fill=BLACK)
    assert torch.allclose(out, expected, atol=1e-5)


def test_geometric_operations_happen_in_the_geometry_of_the_original() -> None:
    aspect = torch.tensor([1.5])
    # From the square's coordinates to pixels of equal width and height, and back.
    to_pixels = torch.diag(torch.tensor([1.5, 1.0, 1.0]))
    rotation = trivial.Draw(torch.tensor([trivial.OPERATIONS.index("rotate")]), torch.ones(1))
    in_pixels = to_pixels @ rotation.homography(aspect)[0] @ torch.linalg.inv(to_pixels)
    assert torch.linalg.svdvals(in_pixels[:2, :2]).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    for name, row, column in (("shear_x", 0, 1), ("shear_y", 1, 0)):
        shear = trivial.Draw(torch.tensor([trivial.OPERATIONS.index(name)]), torch.ones(1))
        in_pixels = to_pixels @ shear.homography(aspect)[0] @ torch.linalg.inv(to_pixels)
        assert float(in_pixels[row, column]) == pytest.approx(0.3)


def test_what_lies_outside_the_picture_has_the_fill_colour(photo: Tensor) -> None:
    fill = (0.2, 0.4, 0.6)
    far = torch.tensor([[[1.0, 0, 5], [0, 1, 0], [0, 0, 1]]])
    out = warp(photo, far, size=16, fill=fill)
    assert torch.allclose(out, torch.tensor(fill).view(1, 3, 1, 1).expand_as(out), atol=1e-6)


def test_erasing_covers_about_the_wanted_share_of_pictures() -> None:
    torch.manual_seed(0)
    white = torch.full((300, 32, 32, 3), 255, dtype=torch.uint8)
    out = Augment(recipe(erasing=0.25), size=32, fill=BLACK)(white, torch.ones(300))
    touched = (out < 0.5).flatten(1).any(1)
    assert 45 <= int(touched.sum()) <= 105


@pytest.mark.parametrize("method", ["mixup", "cutmix"])
def test_mixing_gives_each_class_the_share_of_its_pixels(method: str) -> None:
    torch.manual_seed(0)
    # Class k is a picture of the constant colour k.
    images = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 32, 32)
    mixed, targets = mix(images, torch.eye(8), recipe(**{method: 1.0}))
    assert torch.allclose(targets.sum(1), torch.ones(8))
    expected = (targets * torch.arange(8.0)).sum(1)
    assert torch.allclose(mixed.mean((1, 2, 3)), expected, atol=1e-4)
    assert int((targets.max(1).values < 1).sum()) >= 4


def test_without_mixing_batches_pass_untouched() -> None:
    images, targets = torch.rand(4, 3, 8, 8), torch.eye(4)
    same_images, same_targets = mix(images, targets, recipe())
    assert same_images is images
    assert same_targets is targets


def test_validation_pictures_are_only_resized(photo: Tensor) -> None:
    ours = resize(photo, 32)
    theirs = TF.resize(planes(photo), [32, 32], antialias=True)
    assert (ours - theirs).abs().max() < 0.005
    assert torch.equal(resize(photo, 64), planes(photo))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_scale": [0.0, 1.0]}, "crop_scale=[0.0, 1.0]"),
        ({"crop_scale": [0.9, 0.6]}, "crop_scale=[0.9, 0.6]"),
        ({"flip": 1.5}, "flip=1.5"),
        ({"hue": 0.6}, "hue=0.6"),
        ({"colour": 1}, "augment: unknown or missing settings: colour"),
    ],
)
def test_a_recipe_out_of_range_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FishError) as error:
        recipe(**changes)
    assert message in str(error.value)


class _Waits(TorchDispatchMode):
    """Notes where the host would wait for what a GPU computes: no GPU is needed for it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            if args[0].device.type == "cpu":
                return args[0].dtype == torch.bool  # Beta asks whether its numbers are right
            self.found.add("a number is read")
        if func is torch.ops.aten._to_copy.default:
            target = torch.device(kwargs.get("device") or args[0].device)
            if target.type != args[0].device.type and not kwargs.get("non_blocking"):
                self.found.add("a tensor is copied")
        return func(*args, **kwargs)


@pytest.mark.parametrize(
    "changes",
    [
        {"rotation": 15.0, "shear": 3.0, "crop_scale": [0.6, 1.0], "flip": 0.5},
        {"perspective": 0.2},
        {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1},
        {"blur": 0.3, "erasing": 0.3},
        {"mixup": 0.2},
        {"cutmix": 1.0},
    ],
)
def test_a_batch_is_augmented_without_waiting_for_the_gpu(changes: dict[str, Any]) -> None:
    chosen = recipe(**changes)
    with FakeTensorMode(allow_non_fake_inputs=True), _Waits() as waits:
        images = torch.zeros(8, 40, 40, 3, dtype=torch.uint8, device="cuda")
        out = Augment(chosen, size=32, fill=(0.5, 0.4, 0.3))(images, torch.ones(8, device="cuda"))
        mixed, _ = mix(out, torch.ones(8, 5, device="cuda"), chosen)
    assert mixed.device.type == "cuda"
    assert not waits.found
