"""Augmentation of a whole batch on its device, with parameters drawn for every image.

The geometric part of a recipe is one homography per image, the brightness, contrast, saturation
and hue part one affine map of the colours, so that every pixel is resampled once.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fishcnn.data.augmentation import trivial
from fishcnn.data.augmentation.colour import draw_colour, jitter
from fishcnn.data.augmentation.geometry import draw_geometry, warp
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.augmentation.tensors import boxes, to_device, uniform


class Augment:
    """Apply a :class:`Recipe` to a batch, for images of ``size`` pixels a side.

    What lies outside the image is filled with ``fill``, RGB in [0, 1].
    """

    def __init__(self, recipe: Recipe, *, size: int, fill: tuple[float, float, float]) -> None:
        self.recipe = recipe
        self.size = size
        self.fill = fill

    def __call__(self, images: Tensor, aspect: Tensor) -> Tensor:
        """Augment each image with parameters of its own, drawn from torch's global generator.

        Args:
            images: uint8 ``(N, S, S, 3)``, brought to a square.
            aspect: float32 ``(N,)``, width / height of what was squashed to that square, so that
                crops and rotations happen in the geometry of the original; 1 where nothing was.

        Returns:
            float32 ``(N, 3, size, size)`` in [0, 1].
        """
        recipe = self.recipe
        geometry = draw_geometry(recipe, aspect)
        colour = draw_colour(recipe, len(images), images.device)
        extra = trivial.draw(len(images), images.device) if recipe.trivial else None
        if extra is not None:
            geometry = extra.homography(aspect) @ geometry
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


def _blur_some(images: Tensor, probability: float) -> Tensor:
    """Blur with a 5x5 Gaussian of sigma 0.5 to 1.5 pixels, a sigma for each image."""
    n, device = len(images), images.device
    sigma = uniform(n, 0.5, 1.5, device)
    sigma = torch.where(torch.rand(n, device=device) < probability, sigma, 1e-3)
    taps = torch.arange(-2.0, 3, device=device)
    kernel = torch.exp(-(taps**2) / (2 * sigma.view(n, 1) ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    planes = F.pad(images, (2, 2, 2, 2), mode="reflect").flatten(0, 1).unsqueeze(0)
    planes = F.conv2d(planes, kernel.view(3 * n, 1, 1, 5), groups=3 * n)
    planes = F.conv2d(planes, kernel.view(3 * n, 1, 5, 1), groups=3 * n)
    return planes.view_as(images).clamp_(0, 1)


def _erase_some(images: Tensor, probability: float, fill: tuple[float, float, float]) -> Tensor:
    """Erase a rectangle of 2% to 20% of the area, a rectangle for each image."""
    n, device = len(images), images.device
    area = uniform(n, 0.02, 0.2, device)
    ratio = uniform(n, math.log(0.4), math.log(2.5), device).exp()
    x, y = torch.rand(n, device=device), torch.rand(n, device=device)
    chosen = torch.rand(n, device=device) < probability
    inside = boxes(x, y, (area * ratio).sqrt() / 2, (area / ratio).sqrt() / 2, images)
    colour = to_device(torch.tensor(fill), device).view(1, 3, 1, 1)
    return torch.where(inside & chosen.view(n, 1, 1, 1), colour, images)
