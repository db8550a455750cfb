"""Mixing images and their targets within a batch."""

import torch
from torch import Tensor

from fishcnn.data.augmentation.draws import Draws
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.augmentation.tensors import boxes


def mix(
    images: Tensor, targets: Tensor, recipe: Recipe, draws: Draws | None = None
) -> tuple[Tensor, Tensor]:
    """Mix each image with another of the batch by mixup or CutMix; by neither, where both are 0.

    Images are float ``(N, 3, H, W)`` and targets float ``(N, K)``, one-hot at first.
    Without ``draws`` the random numbers come from torch's global generator. Of a batch that several
    processes share, each mixes its own images.
    """
    methods = [name for name in ("mixup", "cutmix") if getattr(recipe, name)]
    if not methods:
        return images, targets
    n = len(images)
    draws = draws or Draws(n, images.device)
    method = methods[draws.choice(len(methods))]
    share = draws.beta(getattr(recipe, method))
    other = draws.permutation()
    if method == "mixup":
        images = torch.lerp(images[other], images, share.view(n, 1, 1, 1))
    else:
        half = (1 - share).sqrt() / 2
        x, y = draws.uniform(), draws.uniform()
        inside = boxes(x, y, half, half, images)
        images = torch.where(inside, images[other], images)
        # The rectangle may reach over the border: what counts is what was pasted.
        share = 1 - inside.float().mean((1, 2, 3))
    return images, torch.lerp(targets[other], targets, share.view(n, 1))
