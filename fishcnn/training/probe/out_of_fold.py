"""Images as a probe sees them, each judged by a classifier that has not learnt from it."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fishcnn.training.probe.linear_classifier import fit_linear

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProbedImages:
    """n images of K classes.

    Attributes:
        features: float32 ``(n, 2, D)``, of the image and its mirror image.
        labels: int64 ``(n,)``, 0 <= label < K, on the same device.
        groups: int64 ``(n,)``, the same for images that belong together.
        num_classes: K.
    """

    features: Tensor
    labels: Tensor
    groups: NDArray[np.int64]
    num_classes: int

    def out_of_fold(self) -> NDArray[np.float64]:
        """Probabilities of the classes, by classifiers that saw no image of the same group.

        They cost nothing beyond :func:`~fishcnn.training.probe.linear_classifier.fit_linear`,
        whose cross-validation they come from.

        Returns:
            float64 ``(n, K)``; NaN where a class has only one group, which is never held out.
        """
        log.info(
            "Judging each of %d images by a probe that has not learnt from it.", len(self.labels)
        )
        every_image_alike = self.features.new_ones(self.num_classes)
        found = fit_linear(self.features, self.labels, self.groups, every_image_alike)
        return torch.softmax(found.held_out.double(), 1).cpu().numpy()
