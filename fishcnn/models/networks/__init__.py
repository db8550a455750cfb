"""Networks: plain modules that know nothing of Lightning or Hydra."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from fishcnn.models.networks.cnn import FishCNN
from fishcnn.models.networks.torchvision import TorchvisionNetwork
from fishcnn.utils.errors import FishError

NETWORKS: dict[str, type[nn.Module]] = {"cnn": FishCNN, "torchvision": TorchvisionNetwork}


def build_network(config: Mapping[str, Any], *, num_classes: int, image_size: int) -> nn.Module:
    """Build the network that the ``model`` group of the configuration describes.

    Args:
        config: ``name`` (a key of :data:`NETWORKS`) and the arguments of that network.
        num_classes: number of classes.
        image_size: side of the square input in pixels.

    Raises:
        FishError: no such network, or one of its settings is out of range.
    """
    arguments = dict(config)
    name = arguments.pop("name")
    if name not in NETWORKS:
        raise FishError(f"model.name={name}: there is {' and '.join(NETWORKS)}")
    known = signature(NETWORKS[name]).parameters.keys() - {"num_classes", "image_size"}
    if wrong := sorted(known ^ arguments.keys()):
        # An experiment that sets up one network, say, with another one on the command line.
        raise FishError(
            f"model={name} takes {', '.join(sorted(known))}; wrong or missing: {', '.join(wrong)}. "
            f"Settings that are too many go by {' '.join(f'~model.{name}' for name in wrong)}"
        )
    return NETWORKS[name](num_classes=num_classes, image_size=image_size, **arguments)


def check_network(config: Mapping[str, Any], *, image_size: int) -> None:
    """Raise the errors of :func:`build_network` before any data is read."""
    build_network(config, num_classes=2, image_size=image_size)
