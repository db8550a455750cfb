"""The colour part of an augmentation: one affine map of the colours per image."""

import math

import torch
from torch import Tensor

from fishcnn.data.augmentation.draws import Draws
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.augmentation.tensors import matrices, to_device

# Rec. 601 luma, as in torchvision's grey conversion.
LUMA = (0.299, 0.587, 0.114)
# RGB to YIQ: hue turns the IQ plane.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_RGB = torch.linalg.inv(_YIQ)


def draw_colour(recipe: Recipe, draws: Draws) -> Tensor:
    """Draw brightness, contrast and saturation factors and the hue turn in columns, ``(N, 4)``."""
    strengths = (recipe.brightness, recipe.contrast, recipe.saturation)
    factors = [draws.uniform(max(0.0, 1 - s), 1 + s) for s in strengths]
    return torch.stack([*factors, draws.uniform(-recipe.hue, recipe.hue)], 1)


def jitter(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> Tensor:
    """Brightness, contrast, saturation, hue, in this order, as one affine map of the colours.

    Against torchvision's functions one after the other it differs where those clip in between, and
    in hue, which here turns the IQ plane of YIQ (linear) instead of HSV's hue.

    Images are float ``(N, 3, H, W)`` in [0, 1], before and after. Of each, ``(N,)``, there is a
    factor of brightness, of contrast about the mean grey of the image, of saturation about each
    pixel's grey, and a turn of the hue as a share of the colour circle.
    """
    n, device = len(images), images.device
    luma = to_device(torch.tensor(LUMA), device)
    grey = images.mean((2, 3)) @ luma * brightness
    identity = torch.eye(3, device=device)
    grey_matrix = luma.expand(3, 3)
    saturate = torch.lerp(grey_matrix, identity, saturation.view(n, 1, 1))
    yiq, rgb = to_device(_YIQ, device), to_device(_RGB, device)
    angle = -hue * 2 * math.pi  # the IQ plane is seen from behind
    cos, sin = angle.cos(), angle.sin()
    turn = matrices(((1, 0, 0), (0, cos, -sin), (0, sin, cos)), n, device)
    linear = rgb @ turn @ yiq @ saturate
    offset = linear @ (grey * (1 - contrast)).view(n, 1, 1).expand(n, 3, 1)
    linear = linear * (brightness * contrast).view(n, 1, 1)
    out = torch.baddbmm(offset, linear, images.flatten(2)).view_as(images)
    return out.clamp_(0, 1)
