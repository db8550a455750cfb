"""Networks: plain modules that know nothing of Lightning or Hydra.

Each file registers one: ``@NETWORKS.register("name")`` over a class whose constructor takes
``num_classes``, ``image_size`` and its own settings with defaults.
"""

import importlib
import pkgutil

import torch
from torch import nn

from fishcnn.models.pretrained.backbone import Backbone, NetworkInput
from fishcnn.models.registry import NETWORKS, Config
from fishcnn.utils.errors import ArgumentError

# The largest network of torchvision has 0.64 billion, of timm 6 billion, which nobody trains here.
_MOST_PARAMETERS = 2e9

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")


def build_network(config: Config, *, num_classes: int, image_size: int) -> nn.Module:
    """Build a network.

    Args:
        config: its name, or ``name`` and the settings that differ from their defaults.
        num_classes: number of classes.
        image_size: side of the square input in pixels.

    Raises:
        ArgumentError: the name is unknown, or a setting is unknown or out of range.
    """
    settings = NETWORKS.complete(config)
    known = NETWORKS.complete(settings["name"])
    for unknown in [setting for setting in settings if setting not in known]:
        problem = f"the network {settings['name']} takes {', '.join([*known][1:])}"
        raise ArgumentError(unknown, settings[unknown], problem)
    return NETWORKS.build(settings, num_classes=num_classes, image_size=image_size)


def check_network(config: Config, *, image_size: int) -> nn.Module | None:
    """Build a network without weights, and run it.

    Returns:
        The network on the meta device; None where it cannot be built there.

    Raises:
        ArgumentError: as :func:`build_network`, or the network does not take ``image_size`` or is
            larger than any machine's memory.
    """
    try:
        with torch.device("meta"), torch.no_grad():  # it knows shapes and no values
            network = build_network(config, num_classes=2, image_size=image_size).eval()
            size = sum(parameter.numel() for parameter in network.parameters())
            if size > _MOST_PARAMETERS:
                problem = f"would have {size / 1e9:.1f} billion parameters; choose a smaller one"
                raise ArgumentError("model", NETWORKS.complete(config)["name"], problem)
            network(torch.zeros(1, 3, image_size, image_size))
    except NotImplementedError:
        return None  # RegNet computes its widths from tensors with values; any size suits it.
    except (RuntimeError, AssertionError) as error:
        settings = NETWORKS.complete(config)
        suits = backbone_input(config)
        raise ArgumentError(
            "image_size",
            image_size,
            f"{settings.get('architecture', settings['name'])} does not take this size ({error}); "
            f"{suits.image_size if suits else 224} suits it",
        ) from error
    return network


def backbone_input(config: Config) -> NetworkInput | None:
    """What the weights of another library were trained on; None for a network of this project.

    Raises:
        ArgumentError: the network is unknown.
    """
    settings = NETWORKS.complete(config)
    kind = NETWORKS.kind(settings["name"])
    if not (isinstance(kind, type) and issubclass(kind, Backbone)):
        return None
    return kind.input_of(settings["architecture"])


def pretrained_input(config: Config) -> NetworkInput | None:
    """Likewise; None as well for a network that starts from random weights."""
    settings = NETWORKS.complete(config)
    starts = settings.get("pretrained") is True or isinstance(settings.get("weights"), str)
    return backbone_input(settings) if starts else None
