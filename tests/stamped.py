"""Images of noise in which some classes carry a stamp of their own, and a network that reads it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Stamped(NamedTuple):
    """N images at 64 pixels; the maps mark the place of the stamp, whether it is there or not."""

    images: Tensor
    maps: Tensor
    labels: Tensor
    stamps: Tensor


def stamped(share: float = 1, classes: int = 3, marked: int | None = None) -> Stamped:
    """8 images of each class; in the first `marked` classes a share of them has the stamp."""
    generator = torch.Generator().manual_seed(0)
    count = 8 * classes
    images = 0.4 + 0.2 * torch.rand(count, 3, 64, 64, generator=generator)
    stamps = (torch.rand(classes, 3, 10, 10, generator=generator) > 0.5).float()
    labels = torch.arange(count) % classes
    maps = torch.full((count, 64, 64), 0.1)
    for i, label in enumerate(labels.tolist()):
        row, column = torch.randint(0, 54, (2,), generator=generator).tolist()
        if i < share * count and (marked is None or label < marked):
            images[i, :, row : row + 10, column : column + 10] = stamps[label]
        maps[i, row : row + 10, column : column + 10] = 1
    return Stamped(images, maps, labels, stamps)


class StampReader(nn.Module):
    """Gives the class whose stamp it sees `gain` more than the others, which all have 0."""

    def __init__(self, stamps: Tensor, gain: float) -> None:
        super().__init__()
        self.gain = gain
        centred = stamps - stamps.mean((1, 2, 3), keepdim=True)
        self.unit = centred / centred.square().sum((1, 2, 3), keepdim=True)

    def forward(self, images: Tensor) -> Tensor:
        seen = F.conv2d(images, self.unit).flatten(2).amax(2)  # 1 where the whole stamp is
        return self.gain * (seen > 0.95).float()
