"""Optimizers and learning rate schedules by name; torch only.

Besides their settings they take every other argument of torch's own.
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

Parameters = Iterable[nn.Parameter]


@OPTIMIZERS.register("adam")
def _adam(
    parameters: Parameters, /, *, lr: float = 2e-3, weight_decay: float = 0.0, **more: Any
) -> Optimizer:
    return Adam(parameters, lr=lr, weight_decay=weight_decay, **more)


@OPTIMIZERS.register("adamw")
def _adamw(
    parameters: Parameters, /, *, lr: float = 1e-3, weight_decay: float = 0.05, **more: Any
) -> Optimizer:
    return AdamW(parameters, lr=lr, weight_decay=weight_decay, **more)


@OPTIMIZERS.register("sgd")
def _sgd(
    parameters: Parameters,
    /,
    *,
    lr: float = 0.05,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 5e-4,
    **more: Any,
) -> Optimizer:
    return SGD(
        parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, **more
    )


@SCHEDULERS.register("plateau")
def _plateau(
    optimizer: Optimizer, steps: int, /, *, factor: float = 0.5, patience: int = 3, **more: Any
) -> LRScheduler:
    return ReduceLROnPlateau(optimizer, factor=factor, patience=patience, **more)


@SCHEDULERS.register("cosine")
def _cosine(
    optimizer: Optimizer, steps: int, /, *, eta_min: float = 0.0, **more: Any
) -> LRScheduler:
    return CosineAnnealingLR(optimizer, T_max=steps, eta_min=eta_min, **more)


@SCHEDULERS.register("onecycle")
def _onecycle(
    optimizer: Optimizer, steps: int, /, *, pct_start: float = 0.2, **more: Any
) -> LRScheduler:
    peak = optimizer.param_groups[0]["lr"]
    return OneCycleLR(optimizer, max_lr=peak, total_steps=steps, pct_start=pct_start, **more)


@SCHEDULERS.register("none")
def _none(optimizer: Optimizer, steps: int, /, **more: Any) -> LRScheduler:
    return ConstantLR(optimizer, factor=1.0, **more)


def build_optimizer(config: Config, parameters: Parameters, *, fused: bool) -> Optimizer:
    """Build an optimizer.

    Args:
        config: its name, or ``name`` and the settings that differ from their defaults.
        parameters: what is trained.
        fused: whether one kernel steps all parameters.

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
