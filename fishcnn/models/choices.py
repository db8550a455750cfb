"""Network, optimizer and schedule with their settings, checked before any of them is built."""

from collections.abc import Mapping
from typing import Any

from fishcnn.models.networks import check_network
from fishcnn.models.optimization import OPTIMIZERS, SCHEDULERS, check_optimizer, check_scheduler
from fishcnn.models.registry import NETWORKS, Config
from fishcnn.utils.errors import ArgumentError


def complete_choices(
    model: Config,
    optimizer: Config,
    scheduler: Config,
    settings: Mapping[str, Any],
    *,
    image_size: int,
) -> dict[str, dict[str, Any]]:
    """Complete three choices by their defaults, with ``settings`` that belong to one of them.

    Returns:
        ``model``, ``optimizer`` and ``scheduler``: each ``name`` and all settings.

    Raises:
        ArgumentError: a setting is unknown or out of range.
    """
    chosen = {
        "model": NETWORKS.complete(model),
        "optimizer": OPTIMIZERS.complete(optimizer),
        "scheduler": SCHEDULERS.complete(scheduler),
    }
    owners = {key: choice for choice in chosen.values() for key in choice if key != "name"}
    for name, value in settings.items():
        if name not in owners:
            raise ArgumentError(name, value, f"unknown; choose from {', '.join(owners)}")
        owners[name][name] = value
    check_network(chosen["model"], image_size=image_size)
    check_optimizer(chosen["optimizer"])
    check_scheduler(chosen["scheduler"], lr=chosen["optimizer"]["lr"])
    return chosen
