"""Augmentation of a whole batch on its device, with parameters drawn for every picture.

The geometric part of a recipe is one homography a picture, the brightness, contrast, saturation
and hue part one 3x4 colour matrix, so that every pixel is resampled once. Coordinates are those of
``torch.nn.functional.grid_sample``: the picture spans [-1, 1] in x and y.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fishcnn.data import trivial
from fishcnn.errors import FishError

# Rec. 601 luma, as in torchvision's grey conversion.
LUMA = (0.299, 0.587, 0.114)
# RGB to YIQ: hue turns the IQ plane.
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True)
class Recipe:
    """What may be done to a training picture; the ``augment`` group of the configuration.

    Attributes:
        name: the name of the recipe, for reports.
        crop_scale: smallest and largest share of the picture's area that a crop keeps.
        crop_ratio: smallest and largest width/height of a crop, in the original picture's pixels.
        flip: probability of a horizontal flip.
        rotation: largest rotation in degrees, either way.
        shear: largest horizontal shear in degrees, either way.
        perspective: how far a corner may move inward, as a share of half the side (0 to 1).
        brightness, contrast, saturation: factors are drawn from [1 - x, 1 + x].
        hue: largest turn of the hue as a share of the colour circle (0 to 0.5).
        trivial: one more operation of random kind and strength a picture (TrivialAugment,
            Müller and Hutter 2021).
        blur: probability of a Gaussian blur.
        erasing: probability of erasing a rectangle (Zhong et al. 2017).
        mixup: alpha of mixup's Beta distribution (Zhang et al. 2017); 0 is off.
        cutmix: alpha of CutMix's Beta distribution (Yun et al. 2019); 0 is off. With both on, a
            batch takes one of the two.
    """

    name: str
    crop_scale: tuple[float, float]
    crop_ratio: tuple[float, float]
    flip: float
    rotation: float
    shear: float
    perspective: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    trivial: bool
    blur: float
    erasing: float
    mixup: float
    cutmix: float

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Recipe":
        """Read a recipe from the ``augment`` group.

        Raises:
            FishError: a setting is unknown, missing or out of range.
        """
        known = {field.name for field in fields(cls)}
        if wrong := sorted(set(config) ^ known):
            raise FishError(f"augment: unknown or missing settings: {', '.join(wrong)}")
        recipe = cls(
            **{
                **config,
                "crop_scale": tuple(config["crop_scale"]),
                "crop_ratio": tuple(config["crop_ratio"]),
            }
        )
        low, high = recipe.crop_scale
        if not 0 < low <= high <= 1:
            raise FishError(f"augment.crop_scale={[low, high]}: wanted 0 < low <= high <= 1")
        for name in ("flip", "perspective", "blur", "erasing"):
            if not 0 <= getattr(recipe, name) <= 1:
                raise FishError(f"augment.{name}={getattr(recipe, name)}: wanted 0 to 1")
        if not 0 <= recipe.hue <= 0.5:
            raise FishError(f"augment.hue={recipe.hue}: wanted 0 to 0.5")
        return recipe


def resize(images: Tensor, size: int) -> Tensor:
    """Resize without augmentation, anti-aliased: what validation pictures get.

    Args:
        images: uint8 ``(N, S, S, 3)``.
        size: output side in pixels.

    Returns:
        float32 ``(N, 3, size, size)`` in [0, 1], channels last in memory.
    """
    planes = images.permute(0, 3, 1, 2)
    if planes.shape[-1] != size:
        planes = F.interpolate(planes.float(), size=(size, size), mode="bilinear", antialias=True)
    return (planes.float() / 255).clamp_(0, 1)


class Augment:
    """Apply a :class:`Recipe` to a batch.

    Args:
        recipe: what may be done.
        size: output side in pixels.
        fill: RGB in [0, 1] for what lies outside the picture.
    """

    def __init__(self, recipe: Recipe, *, size: int, fill: tuple[float, float, float]) -> None:
        self.recipe = recipe
        self.size = size
        self.fill = fill

    def __call__(self, images: Tensor, aspect: Tensor) -> Tensor:
        """Augment each picture with parameters of its own, drawn from torch's global generator.

        Args:
            images: uint8 ``(N, S, S, 3)``, squashed to a square.
            aspect: float32 ``(N,)``, width / height of the originals, so that crops and rotations
                happen in the geometry of the original.

        Returns:
            float32 ``(N, 3, size, size)`` in [0, 1].
        """
        recipe = self.recipe
        geometry = draw_geometry(recipe, aspect)
        colour = draw_colour(recipe, len(images), images.device)
        extra = trivial.draw(len(images), images.device) if recipe.trivial else None
        if extra is not None:
            geometry = geometry @ extra.homography(aspect)
            colour = colour * extra.colour_factors()
        out = warp(images, geometry, size=self.size, fill=self.fill)
        out = jitter(out, *colour.unbind(1))
        if extra is not None:
            out = extra.pixelwise(out)
        if recipe.blur:
            out = _blur_some(out, recipe.blur)
        if recipe.erasing:
            out = _erase_some(out, recipe.erasing, self.fill)
        return out


def _uniform(n: int, low: float, high: float, device: torch.device) -> Tensor:
    return torch.empty(n, device=device).uniform_(low, high)


def draw_crop(recipe: Recipe, aspect: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw the crops as RandomResizedCrop does (Szegedy et al. 2014).

    Args:
        recipe: gives ``crop_scale`` and ``crop_ratio``.
        aspect: ``(N,)`` width / height of the originals.

    Returns:
        Half width, half height, centre x, centre y, each ``(N,)`` with the picture as [-1, 1].
    """
    n, device = len(aspect), aspect.device
    tries = (n, 10)
    area = torch.empty(tries, device=device).uniform_(*recipe.crop_scale)
    low, high = (math.log(ratio) for ratio in recipe.crop_ratio)
    ratio = torch.empty(tries, device=device).uniform_(low, high).exp()
    ratio = ratio / aspect.view(n, 1)  # in the coordinates of the square
    half_width, half_height = (area * ratio).sqrt(), (area / ratio).sqrt()
    fits = (half_width <= 1) & (half_height <= 1)
    first = fits.float().argmax(1, keepdim=True)
    # Where no try fits, the largest crop with an allowed ratio is taken.
    none = ~fits.any(1)
    nearest = aspect.clamp(math.exp(low), math.exp(high)) / aspect
    half_width = torch.where(none, nearest.clamp(max=1), half_width.gather(1, first).squeeze(1))
    half_height = torch.where(
        none, (1 / nearest).clamp(max=1), half_height.gather(1, first).squeeze(1)
    )
    x = _uniform(n, -1, 1, device) * (1 - half_width)
    y = _uniform(n, -1, 1, device) * (1 - half_height)
    return half_width, half_height, x, y


def draw_geometry(recipe: Recipe, aspect: Tensor) -> Tensor:
    """Draw one homography a picture, from output to input coordinates.

    The picture is rotated and sheared about its centre, seen in perspective, cropped, flipped.

    Args:
        recipe: the geometric settings.
        aspect: ``(N,)`` width / height of the originals.

    Returns:
        ``(N, 3, 3)`` float32.
    """
    n, device = len(aspect), aspect.device
    half_width, half_height, x, y = draw_crop(recipe, aspect)
    sign = 1 - 2 * (torch.rand(n, device=device) < recipe.flip).float()
    crop = _matrix(((half_width * sign, 0, x), (0, half_height, y), (0, 0, 1)), n, device)
    radians = math.pi / 180
    angle = _uniform(n, -recipe.rotation, recipe.rotation, device) * radians
    shear = _uniform(n, -recipe.shear, recipe.shear, device).mul(radians).tan()
    rotation = rotate(angle, aspect)
    # Shear acts on pixels of equal width and height: x' = x + s * y in the original's geometry.
    sheared = _matrix(((1, shear / aspect, 0), (0, 1, 0), (0, 0, 1)), n, device)
    homography = rotation @ sheared @ crop
    if recipe.perspective:
        homography = homography @ _draw_perspective(recipe.perspective, n, device)
    return homography


def rotate(angle: Tensor, aspect: Tensor) -> Tensor:
    """Rotate about the centre, in the geometry of the original picture.

    Args:
        angle: ``(N,)`` radians, positive turns the content counter-clockwise as in torchvision.
        aspect: ``(N,)`` width / height.

    Returns:
        ``(N, 3, 3)`` from output to input coordinates.
    """
    cos, sin = angle.cos(), angle.sin()
    rows = ((cos, -sin / aspect, 0), (sin * aspect, cos, 0), (0, 0, 1))
    return _matrix(rows, len(angle), angle.device)


def _draw_perspective(strength: float, n: int, device: torch.device) -> Tensor:
    """Draw homographies that move each corner inward by up to ``strength`` of half the side."""
    corners = torch.tensor([[-1.0, -1.0], [1, -1], [1, 1], [-1, 1]], device=device)
    moved = corners * (1 - strength * torch.rand(n, 4, 2, device=device))
    zeros, ones = torch.zeros(n, 4, device=device), torch.ones(n, 4, device=device)
    x, y = corners.T.unsqueeze(1).expand(2, n, 4)
    u, v = moved.unbind(-1)
    # Eight equations for the eight unknowns of a homography (Heckbert 1989).
    upper = torch.stack((x, y, ones, zeros, zeros, zeros, -u * x, -u * y), -1)
    lower = torch.stack((zeros, zeros, zeros, x, y, ones, -v * x, -v * y), -1)
    solution = torch.linalg.solve(torch.cat((upper, lower), 1), torch.cat((u, v), 1))
    return torch.cat((solution, ones[:, :1]), 1).view(n, 3, 3)


def _matrix(rows: tuple[tuple[Any, ...], ...], n: int, device: torch.device) -> Tensor:
    """Stack numbers and ``(N,)`` tensors into ``(N, rows, columns)``."""
    entries = [torch.as_tensor(e, dtype=torch.float32, device=device) for r in rows for e in r]
    return torch.stack([e.expand(n) for e in entries], 1).view(n, len(rows), -1)


def warp(
    images: Tensor, homography: Tensor, *, size: int, fill: tuple[float, float, float]
) -> Tensor:
    """Resample each picture once, bilinearly.

    Args:
        images: uint8 ``(N, S, S, 3)``.
        homography: ``(N, 3, 3)`` from output to input coordinates.
        size: output side in pixels.
        fill: RGB in [0, 1] for what lies outside the picture.

    Returns:
        float32 ``(N, 3, size, size)`` in [0, 1].
    """
    n, device = len(images), images.device
    # Zero padding then means "fill".
    offset = torch.tensor(fill, device=device)
    planes = (images.float() / 255 - offset).permute(0, 3, 1, 2)
    centres = (torch.arange(size, device=device, dtype=torch.float32) * 2 + 1) / size - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    points = torch.stack((x, y, torch.ones_like(x)), -1).view(1, -1, 3)
    mapped = points @ homography.transpose(1, 2)
    grid = (mapped[..., :2] / mapped[..., 2:]).view(n, size, size, 2)
    out = F.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return out + offset.view(1, 3, 1, 1)


def draw_colour(recipe: Recipe, n: int, device: torch.device) -> Tensor:
    """Draw brightness, contrast and saturation factors and the hue turn in columns, ``(N, 4)``."""
    strengths = (recipe.brightness, recipe.contrast, recipe.saturation)
    factors = [_uniform(n, max(0.0, 1 - s), 1 + s, device) for s in strengths]
    return torch.stack([*factors, _uniform(n, -recipe.hue, recipe.hue, device)], 1)


def jitter(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> Tensor:
    """Brightness, contrast, saturation, hue, in this order, as one affine map of the colours.

    Against torchvision's functions one after the other it differs where those clip in between, and
    in hue, which here turns the IQ plane of YIQ (linear) instead of HSV's hue.

    Args:
        images: float ``(N, 3, H, W)`` in [0, 1].
        brightness: ``(N,)`` factors.
        contrast: ``(N,)`` factors about the mean grey of the picture.
        saturation: ``(N,)`` factors about each pixel's grey.
        hue: ``(N,)`` turns as shares of the colour circle.

    Returns:
        float ``(N, 3, H, W)`` in [0, 1].
    """
    n, device = len(images), images.device
    luma = torch.tensor(LUMA, device=device)
    grey = images.mean((2, 3)) @ luma * brightness
    identity = torch.eye(3, device=device)
    grey_matrix = luma.expand(3, 3)
    saturate = torch.lerp(grey_matrix, identity, saturation.view(n, 1, 1))
    yiq = torch.tensor(_YIQ, device=device)
    angle = -hue * 2 * math.pi  # the IQ plane is seen from behind
    cos, sin = angle.cos(), angle.sin()
    turn = _matrix(((1, 0, 0), (0, cos, -sin), (0, sin, cos)), n, device)
    linear = torch.linalg.inv(yiq) @ turn @ yiq @ saturate
    offset = linear @ (grey * (1 - contrast)).view(n, 1, 1).expand(n, 3, 1)
    linear = linear * (brightness * contrast).view(n, 1, 1)
    out = torch.baddbmm(offset, linear, images.flatten(2)).view_as(images)
    return out.clamp_(0, 1)


def _blur_some(images: Tensor, probability: float) -> Tensor:
    """Blur with a 5x5 Gaussian of sigma 0.5 to 1.5 pixels, a sigma for each picture."""
    n, device = len(images), images.device
    sigma = _uniform(n, 0.5, 1.5, device)
    sigma = torch.where(torch.rand(n, device=device) < probability, sigma, 1e-3)
    taps = torch.arange(-2.0, 3, device=device)
    kernel = torch.exp(-(taps**2) / (2 * sigma.view(n, 1) ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    planes = F.pad(images, (2, 2, 2, 2), mode="reflect").reshape(1, 3 * n, *_padded(images))
    planes = F.conv2d(planes, kernel.view(3 * n, 1, 1, 5), groups=3 * n)
    planes = F.conv2d(planes, kernel.view(3 * n, 1, 5, 1), groups=3 * n)
    return planes.view_as(images).clamp_(0, 1)


def _padded(images: Tensor) -> tuple[int, int]:
    return images.shape[2] + 4, images.shape[3] + 4


def _erase_some(images: Tensor, probability: float, fill: tuple[float, float, float]) -> Tensor:
    """Erase a rectangle of 2% to 20% of the area, a rectangle for each picture."""
    n, device = len(images), images.device
    area = _uniform(n, 0.02, 0.2, device)
    ratio = _uniform(n, math.log(0.4), math.log(2.5), device).exp()
    half_width, half_height = (area * ratio).sqrt() / 2, (area / ratio).sqrt() / 2
    x, y = torch.rand(n, device=device), torch.rand(n, device=device)
    chosen = torch.rand(n, device=device) < probability
    columns = (torch.arange(images.shape[3], device=device) + 0.5) / images.shape[3]
    rows = (torch.arange(images.shape[2], device=device) + 0.5) / images.shape[2]
    inside_x = (columns - x.view(n, 1)).abs() < half_width.view(n, 1)
    inside_y = (rows - y.view(n, 1)).abs() < half_height.view(n, 1)
    inside = inside_x.unsqueeze(1) & inside_y.unsqueeze(2) & chosen.view(n, 1, 1)
    colour = torch.tensor(fill, device=device).view(1, 3, 1, 1)
    return torch.where(inside.unsqueeze(1), colour, images)


def mix(images: Tensor, targets: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Mix each picture with another of the batch by mixup or CutMix.

    Args:
        images: float ``(N, 3, H, W)``.
        targets: float ``(N, K)``, one-hot.
        recipe: gives ``mixup`` and ``cutmix``; with both 0 nothing is done.

    Returns:
        Mixed pictures and targets of the same shapes.
    """
    methods = [name for name in ("mixup", "cutmix") if getattr(recipe, name)]
    if not methods:
        return images, targets
    method = methods[int(torch.randint(len(methods), ()))]
    alpha = getattr(recipe, method)
    n, device = len(images), images.device
    share = torch.distributions.Beta(alpha, alpha).sample((n,)).to(device)
    other = torch.randperm(n, device=device)
    if method == "mixup":
        images = torch.lerp(images[other], images, share.view(n, 1, 1, 1))
    else:
        height, width = images.shape[2:]
        half = (1 - share).sqrt() / 2
        columns = (torch.arange(width, device=device) + 0.5) / width
        rows = (torch.arange(height, device=device) + 0.5) / height
        inside_x = (columns - torch.rand(n, 1, device=device)).abs() < half.view(n, 1)
        inside_y = (rows - torch.rand(n, 1, device=device)).abs() < half.view(n, 1)
        inside = inside_y.unsqueeze(2) & inside_x.unsqueeze(1)
        images = torch.where(inside.unsqueeze(1), images[other], images)
        # The rectangle may reach over the border: what counts is what was pasted.
        share = 1 - inside.float().mean((1, 2))
    return images, torch.lerp(targets[other], targets, share.view(n, 1))
