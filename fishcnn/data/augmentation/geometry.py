"""The geometric part of an augmentation: one homography and one resampling per image.

Coordinates are those of ``torch.nn.functional.grid_sample``: the image spans [-1, 1] in x and y.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fishcnn.data.augmentation.draws import Draws
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.augmentation.tensors import matrices, to_device


def draw_crop(
    recipe: Recipe, aspect: Tensor, draws: Draws
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw the crops as RandomResizedCrop does (Szegedy et al. 2014).

    From width / height of the originals, ``(N,)``, to half width, half height, centre x and centre
    y, each ``(N,)`` with the image as [-1, 1].
    """
    n, device = len(aspect), aspect.device
    if recipe.crop_scale[0] == 1:  # the whole image, whatever its shape
        whole, centre = torch.ones(n, device=device), torch.zeros(n, device=device)
        return whole, whole, centre, centre
    tries = 10
    area = draws.uniform(*recipe.crop_scale, tries)
    low, high = (math.log(ratio) for ratio in recipe.crop_ratio)
    ratio = draws.uniform(low, high, tries).exp()
    ratio = ratio / aspect.view(n, 1)  # in the coordinates of the square
    half_width, half_height = (area * ratio).sqrt(), (area / ratio).sqrt()
    fits = (half_width <= 1) & (half_height <= 1)
    first = fits.float().argmax(1, keepdim=True)
    half_width, half_height = (h.gather(1, first).squeeze(1) for h in (half_width, half_height))
    # Where no try fits, the largest crop with an allowed ratio is taken.
    none = ~fits.any(1)
    nearest = aspect.clamp(math.exp(low), math.exp(high)) / aspect
    half_width = torch.where(none, nearest.clamp(max=1), half_width)
    half_height = torch.where(none, (1 / nearest).clamp(max=1), half_height)
    x = draws.uniform(-1, 1) * (1 - half_width)
    y = draws.uniform(-1, 1) * (1 - half_height)
    return half_width, half_height, x, y


def draw_geometry(recipe: Recipe, aspect: Tensor, draws: Draws) -> Tensor:
    """Draw one homography per image, ``(N, 3, 3)`` float32, from output to input coordinates.

    The image, of width / height ``(N,)``, is rotated and sheared about its centre, seen in
    perspective, cropped, flipped.
    """
    n, device = len(aspect), aspect.device
    half_width, half_height, x, y = draw_crop(recipe, aspect, draws)
    sign = 1 - 2 * (draws.uniform() < recipe.flip).float()
    crop = matrices(((half_width * sign, 0, x), (0, half_height, y), (0, 0, 1)), n, device)
    radians = math.pi / 180
    angle = draws.uniform(-recipe.rotation, recipe.rotation) * radians
    shear = draws.uniform(-recipe.shear, recipe.shear).mul(radians).tan()
    rotation = rotate(angle, aspect)
    # Shear acts on pixels of equal width and height: x' = x + s * y in the original's geometry.
    sheared = matrices(((1, shear / aspect, 0), (0, 1, 0), (0, 0, 1)), n, device)
    homography = rotation @ sheared @ crop
    if recipe.perspective:
        homography = homography @ _draw_perspective(recipe.perspective, draws)
    return homography


def rotate(angle: Tensor, aspect: Tensor) -> Tensor:
    """Rotate about the centre in the geometry of the original, from output to input coordinates.

    Angles ``(N,)`` are in radians, positive turns the content counter-clockwise as in torchvision;
    the homographies are ``(N, 3, 3)``.
    """
    cos, sin = angle.cos(), angle.sin()
    rows = ((cos, -sin / aspect, 0), (sin * aspect, cos, 0), (0, 0, 1))
    return matrices(rows, len(angle), angle.device)


def _draw_perspective(strength: float, draws: Draws) -> Tensor:
    """Draw homographies that move each corner inward by up to ``strength`` of half the side."""
    # On the CPU: a GPU takes longer to begin with such small systems of equations.
    n = draws.n
    corners = torch.tensor([[-1.0, -1.0], [1, -1], [1, 1], [-1, 1]])
    moved = corners * (1 - strength * draws.uniform_on_host(4, 2))
    zeros, ones = torch.zeros(n, 4), torch.ones(n, 4)
    x, y = corners.T.unsqueeze(1).expand(2, n, 4)
    u, v = moved.unbind(-1)
    # Eight equations for the eight unknowns of a homography (Heckbert 1989).
    upper = torch.stack((x, y, ones, zeros, zeros, zeros, -u * x, -u * y), -1)
    lower = torch.stack((zeros, zeros, zeros, x, y, ones, -v * x, -v * y), -1)
    solution = torch.linalg.solve(torch.cat((upper, lower), 1), torch.cat((u, v), 1))
    return to_device(torch.cat((solution, ones[:, :1]), 1).view(n, 3, 3), draws.device)


def warp(
    images: Tensor, homography: Tensor, *, size: int, fill: tuple[float, float, float]
) -> Tensor:
    """Resample each image once, bilinearly, with ``fill`` (RGB in [0, 1]) for what lies outside.

    From uint8 ``(N, S, S, 3)`` by ``(N, 3, 3)`` from output to input coordinates to float32
    ``(N, 3, size, size)`` in [0, 1].
    """
    n, device = len(images), images.device
    # Zero padding then means "fill".
    offset = to_device(torch.tensor(fill), device)
    planes = (images.float() / 255 - offset).permute(0, 3, 1, 2)
    centres = (torch.arange(size, device=device, dtype=torch.float32) * 2 + 1) / size - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    points = torch.stack((x, y, torch.ones_like(x)), -1).view(1, -1, 3)
    mapped = points @ homography.transpose(1, 2)
    grid = (mapped[..., :2] / mapped[..., 2:]).view(n, size, size, 2)
    out = F.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return out + offset.view(1, 3, 1, 1)
