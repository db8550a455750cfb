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
from fishcnn.data.augmentation.draws import Draws
from fishcnn.data.augmentation.geometry import draw_geometry, warp
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.augmentation.tensors import boxes, to_device


class Augment:
    """Apply a :class:`Recipe` to a batch, for images of ``size`` pixels a side.

    What lies outside the image is filled with ``fill``, RGB in [0, 1].
    """

    def __init__(self, recipe: Recipe, *, size: int, fill: tuple[float, float, float]) -> None:
        self.recipe = recipe
        self.size = size
        self.fill = fill

    def __call__(self, images: Tensor, aspect: Tensor, draws: Draws | None = None) -> Tensor:
        """Augment each image with parameters of its own.

        Args:
            images: uint8 ``(N, S, S, 3)``, brought to a square.
            aspect: float32 ``(N,)``, width / height of what was squashed to that square, so that
                crops and rotations happen in the geometry of the original; 1 where nothing was.
            draws: the random numbers; None for those of torch's global generator.

        Returns:
            float32 ``(N, 3, size, size)`` in [0, 1].
        """
        recipe = self.recipe
        draws = draws or Draws(len(images), images.device)
        geometry = draw_geometry(recipe, aspect, draws)
        colour = draw_colour(recipe, draws)
        extra = trivial.draw(draws) if recipe.trivial else None
        if extra is not None:
            geometry = extra.homography(aspect) @ geometry
            colour = colour * extra.colour_factors()
        out = warp(images, geometry, size=self.size, fill=self.fill)
        out = jitter(out, *colour.unbind(1))
        if extra is not None:
            out = extra.pixelwise(out)
        if recipe.blur:
            out = _blur_some(out, recipe.blur, draws)
        if recipe.erasing:
            out = _erase_some(out, recipe.erasing, self.fill, draws)
        return out


def _blur_some(images: Tensor, probability: float, draws: Draws) -> Tensor:
    """Blur with a 5x5 Gaussian of sigma 0.5 to 1.5 pixels, a sigma for each image."""
    n, device = len(images), images.device
    sigma = draws.uniform(0.5, 1.5)
    sigma = torch.where(draws.uniform() < probability, sigma, 1e-3)
    taps = torch.arange(-2.0, 3, device=device)
    kernel = torch.exp(-(taps**2) / (2 * sigma.view(n, 1) ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    planes = F.pad(images, (2, 2, 2, 2), mode="reflect").flatten(0, 1).unsqueeze(0)
    planes = F.conv2d(planes, kernel.view(3 * n, 1, 1, 5), groups=3 * n)
    planes = F.conv2d(planes, kernel.view(3 * n, 1, 5, 1), groups=3 * n)
    return planes.view_as(images).clamp_(0, 1)


def _erase_some(
    images: Tensor, probability: float, fill: tuple[float, float, float], draws: Draws
) -> Tensor:
    """Erase a rectangle of 2% to 20% of the area, a rectangle for each image."""
    n, device = len(images), images.device
    area = draws.uniform(0.02, 0.2)
    ratio = draws.uniform(math.log(0.4), math.log(2.5)).exp()
    x, y = draws.uniform(), draws.uniform()
    chosen = draws.uniform() < probability
    inside = boxes(x, y, (area * ratio).sqrt() / 2, (area / ratio).sqrt() / 2, images)
    colour = to_device(torch.tensor(fill), device).view(1, 3, 1, 1)
    return torch.where(inside & chosen.view(n, 1, 1, 1), colour, images)
