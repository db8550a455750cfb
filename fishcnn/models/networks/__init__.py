"""Networks: plain modules that know nothing of Lightning or Hydra.

Each file registers one: ``@NETWORKS.register("name")`` over a class whose constructor takes
``num_classes``, ``image_size`` and its own settings with defaults, and which has a static method
``check(*, image_size, **settings)`` that raises the constructor's errors without building weights.
"""

import importlib
import pkgutil
from typing import Any, cast

from torch import nn

from fishcnn.models.registry import NETWORKS, Config
from fishcnn.utils.errors import ArgumentError

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
    return NETWORKS.build(config, num_classes=num_classes, image_size=image_size)


def check_network(config: Config, *, image_size: int) -> None:
    """Raise the errors of :func:`build_network` without building weights."""
    kind, settings = NETWORKS.split(config)
    name = NETWORKS.complete(config)["name"]
    for unknown in settings.keys() - NETWORKS.settings(name).keys():
        known = ", ".join(NETWORKS.settings(name))
        raise ArgumentError(unknown, settings[unknown], f"the network {name} takes {known}")
    cast(Any, kind).check(image_size=image_size, **settings)
