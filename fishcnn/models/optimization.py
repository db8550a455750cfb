"""Optimizers and learning rate schedules by name; torch only."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from fishcnn.utils.errors import FishError

OPTIMIZERS: dict[str, Any] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
SCHEDULERS = ("plateau", "cosine", "onecycle", "none")


def build_optimizer(
    config: Mapping[str, Any], parameters: Iterable[nn.Parameter], *, fused: bool
) -> Optimizer:
    """Build the optimizer of the ``optimizer`` group.

    Args:
        config: ``name``, ``lr`` and other arguments of that optimizer.
        parameters: what is trained.
        fused: whether one kernel steps all parameters.

    Raises:
        FishError: there is no such optimizer, or torch does not take one of its arguments.
    """
    arguments = dict(config)
    name = arguments.pop("name")
    if name not in OPTIMIZERS:
        raise FishError(f"optimizer.name={name}: there is {', '.join(OPTIMIZERS)}")
    try:
        optimizer: Optimizer = OPTIMIZERS[name](parameters, fused=fused, **arguments)
    except (TypeError, ValueError) as error:
        raise FishError(f"optimizer={name}: {error}") from error
    return optimizer


def build_schedule(
    config: Mapping[str, Any], optimizer: Optimizer, *, steps: int
) -> lr_scheduler.LRScheduler:
    """Build the schedule of the ``scheduler`` group.

    Args:
        config: ``name`` and other arguments of that schedule.
        optimizer: whose learning rate is scheduled; its present one is the highest.
        steps: optimizer steps of the whole fit.

    Returns:
        A schedule to step with each validation loss (``plateau``) or with each optimizer step.

    Raises:
        FishError: there is no such schedule, or torch does not take one of its arguments.
    """
    arguments = dict(config)
    name = arguments.pop("name")
    try:
        if name == "plateau":
            return lr_scheduler.ReduceLROnPlateau(optimizer, **arguments)
        if name == "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, **arguments)
        if name == "onecycle":
            peak = optimizer.param_groups[0]["lr"]
            return lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=steps, **arguments)
        if name == "none":
            return lr_scheduler.ConstantLR(optimizer, factor=1.0, **arguments)
    except (TypeError, ValueError) as error:
        raise FishError(f"scheduler={name}: {error}") from error
    raise FishError(f"scheduler.name={name}: there is {', '.join(SCHEDULERS)}")


def check_optimization(optimizer: Mapping[str, Any], scheduler: Mapping[str, Any]) -> None:
    """Raise the errors of both before there is anything to train."""
    nothing = [nn.Parameter(torch.zeros(1))]
    build_schedule(scheduler, build_optimizer(optimizer, nothing, fused=False), steps=10)
