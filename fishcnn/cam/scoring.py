"""Class scores of many pictures, from any classifier, leaving it as it was."""

import torch
from torch import Tensor, nn

# Bounds the memory of the activations.
BATCH = 64


@torch.no_grad()
def class_probabilities(model: nn.Module, images: Tensor) -> Tensor:
    """Softmax probabilities in eval mode; the model's modes are left as they were.

    Args:
        model: A classifier from (N, 3, H, W) pictures to (N, K) logits.
        images: (N, 3, H, W), as the model takes them.

    Returns:
        (N, K) float32.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        logits = torch.cat([model(batch).float() for batch in torch.split(images, BATCH)])
    finally:
        for module, mode in modes:
            module.training = mode
    return logits.softmax(1)


def confidence(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Probability (N,) of each picture's class in `targets`, (N,) int64."""
    return class_probabilities(model, images).gather(1, targets[:, None])[:, 0]
