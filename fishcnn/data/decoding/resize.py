"""The two steps that bring an image to the network's size, the same wherever it is used.

The first, of a file on its own, makes it a square of ``working_size`` pixels; the second, of a
batch, leaves that as it is but for its size.
"""

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

SQUASH, LETTERBOX, CROP = RESIZES = ("squash", "letterbox", "crop")


@dataclass(frozen=True)
class Square:
    """A square that images of any shape are brought to.

    Attributes:
        side: S, in pixels.
        resize: ``"squash"`` pulls the image to a square, ``"letterbox"`` keeps its shape and fills
            up with its mean colour, ``"crop"`` keeps its shape and cuts off the ends of its longer
            side.
    """

    side: int
    resize: str = SQUASH

    def of_image(self, image: Image.Image) -> NDArray[np.uint8]:
        """Bring an RGB image to uint8 ``(S, S, 3)`` with antialiasing."""
        # The gap only matters to large images that are no JPEG: a box filter takes the first steps.
        small = np.asarray(
            image.resize(
                self._size(image), Image.Resampling.BILINEAR, self._box(image), reducing_gap=3.0
            )
        )
        if self.resize != LETTERBOX:
            return small
        return self._laid_on(_mean_colour(small), small)

    def of_mask(self, mask: Image.Image) -> NDArray[np.uint8]:
        """Bring a mask of 0 and 255 to uint8 ``(S, S)`` of the same; what is filled up is 0."""
        covered = np.asarray(
            mask.resize(self._size(mask), Image.Resampling.BOX, self._box(mask)), np.uint8
        )
        small = np.where(covered > 127, np.uint8(255), np.uint8(0))
        return small if self.resize != LETTERBOX else self._laid_on(np.zeros((), np.uint8), small)

    def _size(self, image: Image.Image) -> tuple[int, int]:
        """Width and height that the part of an image which is kept is brought to."""
        if self.resize != LETTERBOX:
            return self.side, self.side
        scale = self.side / max(image.size)
        return max(1, round(image.width * scale)), max(1, round(image.height * scale))

    def _box(self, image: Image.Image) -> tuple[int, int, int, int]:
        """The part of an image that is kept: left, upper, right, lower."""
        width, height = image.size
        if self.resize != CROP:
            return 0, 0, width, height
        shorter = min(image.size)
        left, upper = (width - shorter) // 2, (height - shorter) // 2
        return left, upper, left + shorter, upper + shorter

    def _laid_on(self, ground: NDArray[np.uint8], small: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = small.shape[:2]
        square = np.empty((self.side, self.side, *ground.shape), np.uint8)
        square[:] = ground
        left, upper = (self.side - width) // 2, (self.side - height) // 2
        square[upper : upper + height, left : left + width] = small
        return square


def as_seen(image: Image.Image, resize: str, *, most: int) -> Image.Image:
    """An RGB image as a person should see what the network sees of it.

    A map of the network, stretched to its size, lies on it point by point: of ``"squash"`` it is
    the image itself, at its own shape, of the others a square of at most so many pixels a side.
    """
    if resize == SQUASH:
        return image
    side = max(image.size) if resize == LETTERBOX else min(image.size)
    return Image.fromarray(Square(min(side, most), resize).of_image(image))


def _mean_colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(image.mean(axis=(0, 1)).round(), np.uint8)


def resize(images: Tensor, size: int) -> Tensor:
    """Resize uint8 ``(N, S, S, 3)`` without augmentation, anti-aliased: for validation.

    Returns:
        float32 ``(N, 3, size, size)`` in [0, 1], channels last in memory.
    """
    planes = images.permute(0, 3, 1, 2)
    if planes.shape[-1] != size:
        planes = F.interpolate(planes.float(), size=(size, size), mode="bilinear", antialias=True)
    return (planes.float() / 255).clamp_(0, 1)
