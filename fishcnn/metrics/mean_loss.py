"""Metrics that torchmetrics does not have."""

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanLoss(Metric):
    """Mean over all images of an epoch, counted on the device.

    NaN stays NaN, so that a fit that has diverged does not look healthy: MeanMetric leaves it out,
    or with ``nan_strategy="disable"`` forgets the weights (torchmetrics 1.9).
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        # In which order batches are added, by one process or by several, is not seen in float32.
        precise = torch.float32 if torch.backends.mps.is_available() else torch.float64
        self.add_state("total", torch.zeros((), dtype=precise), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, images: int) -> None:
        """Add the mean loss, a scalar, of a batch of so many images."""
        self.total += loss * images
        self.count += images

    def compute(self) -> Tensor:
        """The mean over all images so far."""
        return (self.total / self.count).float()
