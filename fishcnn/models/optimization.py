"""Optimizers and learning rate schedules by name; torch only.

Besides the settings that stand here they take every other argument of torch's own.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)

from fishcnn.models.registry import OPTIMIZERS, SCHEDULERS, Config


def _plateau(optimizer: Optimizer, steps: int, **settings: Any) -> LRScheduler:
    return ReduceLROnPlateau(optimizer, **settings)


def _cosine(optimizer: Optimizer, steps: int, **settings: Any) -> LRScheduler:
    return CosineAnnealingLR(optimizer, T_max=steps, **settings)


def _onecycle(optimizer: Optimizer, steps: int, **settings: Any) -> LRScheduler:
    peak = optimizer.param_groups[0]["lr"]
    return OneCycleLR(optimizer, max_lr=peak, total_steps=steps, **settings)


def _none(optimizer: Optimizer, steps: int, **settings: Any) -> LRScheduler:
    return ConstantLR(optimizer, factor=1.0, **settings)


OPTIMIZERS.add("adam", Adam, lr=2e-3, weight_decay=0.0)
OPTIMIZERS.add("adamw", AdamW, lr=1e-3, weight_decay=0.05)
OPTIMIZERS.add("sgd", SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
SCHEDULERS.add("plateau", _plateau, factor=0.5, patience=3)
SCHEDULERS.add("cosine", _cosine, eta_min=0.0)
SCHEDULERS.add("onecycle", _onecycle, pct_start=0.2)
SCHEDULERS.add("none", _none)


def build_optimizer(
    config: Config, parameters: Iterable[nn.Parameter], *, fused: bool
) -> Optimizer:
    """Build an optimizer; ``fused`` steps all parameters in one kernel.

    Raises:
        ArgumentError: the name is unknown, or torch does not take one of the settings.
    """
    return OPTIMIZERS.build(config, parameters, fused=fused)


def build_schedule(config: Config, optimizer: Optimizer, *, steps: int) -> LRScheduler:
    """Build a schedule.

    Args:
        config: its name, or ``name`` and the settings that differ from their defaults.
        optimizer: whose learning rate is scheduled; its present one is the highest.
        steps: optimizer steps of the whole fit.

    Returns:
        A schedule to step with each validation loss (``plateau``) or with each optimizer step.

    Raises:
        ArgumentError: the name is unknown, or torch does not take one of the settings.
    """
    return SCHEDULERS.build(config, optimizer, steps)


def check_optimization(optimizer: Config, scheduler: Config) -> None:
    """Raise the errors of both before there is anything to train."""
    nothing = [nn.Parameter(torch.zeros(1))]
    build_schedule(scheduler, build_optimizer(optimizer, nothing, fused=False), steps=10)
