"""TrivialAugment (Müller and Hutter 2021): one random operation of random strength per image.

The operations and their largest strengths are those of RandAugment's space, which the paper calls
"RA". The batch is never split: what does not apply to an image leaves it as it is. Functions take
images, float ``(N, 3, H, W)`` in [0, 1], and strengths, ``(N,)``.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fishcnn.data.augmentation.draws import Draws
from fishcnn.data.augmentation.geometry import rotate
from fishcnn.data.augmentation.tensors import matrices, to_device


def _column(strength: Tensor) -> Tensor:
    return strength.view(-1, 1, 1, 1)


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with a smoothed copy (strength below 0) or away from it (above)."""
    kernel = to_device(torch.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13, images.device)
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    smooth = F.conv2d(padded, kernel.expand(3, 1, 3, 3), groups=3)
    return torch.lerp(smooth, images, 1 + 0.9 * _column(strength)).clamp(0, 1)


def posterize(images: Tensor, strength: Tensor) -> Tensor:
    """Keep 8 to 4 bits of each colour."""
    step = 2 ** (4 * strength.abs()).round()
    return (images * 255 / _column(step)).floor() * _column(step) / 255


def solarize(images: Tensor, strength: Tensor) -> Tensor:
    """Invert what is brighter than a threshold."""
    return torch.where(images >= 1 - _column(strength.abs()), 1 - images, images)


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretch each colour to [0, 1]; a constant colour stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-6), images)


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Equalise each colour's histogram of 256 levels."""
    levels = (images * 255).round().long().flatten(2).flatten(0, 1)
    # In whole numbers: on a GPU, sums of others may differ from one time to the next.
    histogram = torch.zeros(len(levels), 256, dtype=torch.int64, device=images.device)
    histogram.scatter_add_(1, levels, torch.ones_like(levels))
    # The table of Pillow's ImageOps.equalize.
    last = levels.amax(1, keepdim=True)
    step = (levels.shape[1] - histogram.gather(1, last)) // 255
    below = histogram.cumsum(1) - histogram
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
    equalized = torch.where(step > 0, table.gather(1, levels), levels)
    return (equalized / 255).view_as(images)


_GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_COLOUR = ("brightness", "contrast", "saturation")
_PIXELWISE = {f.__name__: f for f in (sharpness, posterize, solarize, autocontrast, equalize)}
OPERATIONS = ("identity", *_GEOMETRIC, *_COLOUR, *_PIXELWISE)


@dataclass(frozen=True)
class Draw:
    """The operations drawn for a batch.

    Attributes:
        operation: int64 ``(N,)``, index into :data:`OPERATIONS`.
        strength: float ``(N,)`` in [-1, 1]; operations without a direction use its size.
    """

    operation: Tensor
    strength: Tensor

    def _of(self, operation: str) -> Tensor:
        """Strength where ``operation`` was drawn, else 0."""
        return self.strength * (self.operation == OPERATIONS.index(operation))

    def homography(self, aspect: Tensor) -> Tensor:
        """The geometric operations as ``(N, 3, 3)`` from output to input coordinates.

        They happen in the geometry of the originals, of width / height ``aspect``, ``(N,)``.
        """
        shear_x, shear_y = 0.3 * self._of("shear_x") / aspect, 0.3 * self._of("shear_y") * aspect
        # Strengths of a translation are shares of the whole side, which is 2 units long.
        x, y = 0.6 * self._of("translate_x"), 0.6 * self._of("translate_y")
        rows = ((1, shear_x, x), (shear_y, 1, y), (0, 0, 1))
        moved = matrices(rows, len(aspect), aspect.device)
        return rotate(self._of("rotate") * math.radians(30), aspect) @ moved

    def colour_factors(self) -> Tensor:
        """Factors ``(N, 4)`` for brightness, contrast, saturation and (always 1) hue."""
        factors = [1 + 0.9 * self._of(name) for name in _COLOUR]
        return torch.stack([*factors, torch.ones_like(self.strength)], 1)

    def pixelwise(self, images: Tensor) -> Tensor:
        """The operations that are neither geometric nor linear; ``(N, 3, H, W)`` in [0, 1]."""
        for name, function in _PIXELWISE.items():
            chosen = (self.operation == OPERATIONS.index(name)).nonzero().squeeze(1)
            if len(chosen):
                changed = function(images[chosen], self.strength[chosen])
                images = images.index_copy(0, chosen, changed)
        return images


def draw(draws: Draws) -> Draw:
    """Draw an operation and a strength for each image."""
    return Draw(draws.integers(len(OPERATIONS)), draws.uniform(-1, 1))
