"""Fill the head of a pretrained network by a linear probe."""

import logging

import numpy as np
import torch
from torch import nn

from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.pretrained.backbone import Backbone
from fishcnn.training.probe.features import training_features
from fishcnn.training.probe.linear_classifier import fit_linear
from fishcnn.utils.errors import ArgumentError

log = logging.getLogger(__name__)


def probed_head(network: nn.Module) -> list[nn.Linear]:
    """The layers of the head that a probe can fill, each in the same way.

    Raises:
        ArgumentError: there is none: the network has no weights of others, or classifies otherwise.
    """
    if not isinstance(network, Backbone) or not (network.pretrained or network.weights):
        problem = "needs a pretrained network: add model=timm model.pretrained=true"
        raise ArgumentError("probe", True, problem)
    layers = [layer for layer in network.head if isinstance(layer, nn.Linear)]
    if len(layers) < len(network.head):
        problem = f"{network.architecture} has no linear layer at its end; choose another network"
        raise ArgumentError("probe", True, problem)
    return layers


def fill_head(classifier: FishClassifier, datamodule: FishDataModule, device: torch.device) -> None:
    """Replace the head by a linear classifier of what the network sees in the training images.

    Kumar et al. 2022, "Fine-tuning can distort pretrained features and underperform
    out-of-distribution": what is trained from here on begins with a head that fits the features.

    Args:
        classifier: with its pretrained weights.
        datamodule: set up; only its training split is looked at.
        device: where to compute.

    Raises:
        ArgumentError: as :func:`probed_head`.
    """
    head = probed_head(classifier.network)
    classifier.to(device)
    rows = datamodule.split.train
    labels = datamodule.images.labels[rows]
    counts = np.bincount(labels, minlength=len(classifier.classes))
    balanced = datamodule.balance != "none"
    weights = 1 / np.maximum(counts, 1) if balanced else np.ones(len(counts))
    found = fit_linear(
        training_features(classifier, datamodule),
        torch.from_numpy(labels).to(device),
        datamodule.splitting.groups[rows],
        torch.from_numpy(weights / weights.max()).float().to(device),
    )
    with torch.no_grad():
        for layer in head:
            layer.weight.copy_(found.weight)
            layer.bias.copy_(found.bias)
    log.info(
        "Linear head on fixed features: penalty %g%s.",
        found.penalty,
        f", cross-validated loss {found.losses[found.penalty]:.3f}" if found.losses else "",
    )
