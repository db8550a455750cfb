"""Class scores of many images, from any classifier, leaving it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

BATCH = 64  # bounds the memory of the activations


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put the model into eval mode, and each of its modules back into its own mode."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def class_probabilities(model: nn.Module, images: Tensor) -> Tensor:
    """Softmax probabilities in eval mode, (N, K) float32, of (N, 3, H, W) images."""
    with eval_mode(model):
        logits = torch.cat([model(batch).float() for batch in torch.split(images, BATCH)])
    return logits.softmax(1)


def confidence(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Probability (N,) of each image's class in `targets`, (N,) int64."""
    return class_probabilities(model, images).gather(1, targets[:, None])[:, 0]
