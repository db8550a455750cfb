"""The two steps that bring an image to the network's size, the same wherever it is used."""

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def squash(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """Resize to side x side with antialiasing."""
    # The gap only matters to large images that are no JPEG: a box filter takes the first steps.
    small = image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small)


def resize(images: Tensor, size: int) -> Tensor:
    """Resize uint8 ``(N, S, S, 3)`` without augmentation, anti-aliased: for validation.

    Returns:
        float32 ``(N, 3, size, size)`` in [0, 1], channels last in memory.
    """
    planes = images.permute(0, 3, 1, 2)
    if planes.shape[-1] != size:
        planes = F.interpolate(planes.float(), size=(size, size), mode="bilinear", antialias=True)
    return (planes.float() / 255).clamp_(0, 1)
