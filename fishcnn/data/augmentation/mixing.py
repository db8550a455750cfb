"""Mixing images and their targets within a batch."""

import torch
from torch import Tensor

from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.augmentation.tensors import boxes, to_device


def mix(images: Tensor, targets: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Mix each image with another of the batch by mixup or CutMix; by neither, where both are 0.

    Images are float ``(N, 3, H, W)`` and targets float ``(N, K)``, one-hot at first.
    """
    methods = [name for name in ("mixup", "cutmix") if getattr(recipe, name)]
    if not methods:
        return images, targets
    method = methods[int(torch.randint(len(methods), ()))]
    alpha = getattr(recipe, method)
    n, device = len(images), images.device
    share = to_device(torch.distributions.Beta(alpha, alpha).sample((n,)), device)
    other = torch.randperm(n, device=device)
    if method == "mixup":
        images = torch.lerp(images[other], images, share.view(n, 1, 1, 1))
    else:
        half = (1 - share).sqrt() / 2
        x, y = torch.rand(n, device=device), torch.rand(n, device=device)
        inside = boxes(x, y, half, half, images)
        images = torch.where(inside, images[other], images)
        # The rectangle may reach over the border: what counts is what was pasted.
        share = 1 - inside.float().mean((1, 2, 3))
    return images, torch.lerp(targets[other], targets, share.view(n, 1))
