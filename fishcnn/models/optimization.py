"""Optimizers and learning rate schedules by name; torch only.

Besides the settings that stand here they take every other argument of torch's own.
"""

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

from fishcnn.models.registry import Config, Registry


def _onecycle(optimizer: Optimizer, steps: int, **settings: Any) -> LRScheduler:
    peak = optimizer.param_groups[0]["lr"]
    return OneCycleLR(optimizer, max_lr=peak, total_steps=steps, **settings)


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")
OPTIMIZERS.add("adam", Adam, lr=2e-3, weight_decay=0.0)
OPTIMIZERS.add("adamw", AdamW, lr=1e-3, weight_decay=0.05)
OPTIMIZERS.add("sgd", SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
# A schedule is built from an optimizer, whose present learning rate is the highest, and the number
# of optimizer steps in the whole fit. The plateau is stepped with each validation loss, the others
# with each step of the optimizer.
SCHEDULERS: Registry[LRScheduler] = Registry("scheduler")
SCHEDULERS.add(
    "plateau", lambda opt, steps, **more: ReduceLROnPlateau(opt, **more), factor=0.5, patience=3
)
SCHEDULERS.add(
    "cosine", lambda opt, steps, **more: CosineAnnealingLR(opt, T_max=steps, **more), eta_min=0.0
)
SCHEDULERS.add("onecycle", _onecycle, pct_start=0.2)
SCHEDULERS.add("none", lambda opt, steps, **more: ConstantLR(opt, factor=1.0, **more))


def check_optimization(optimizer: Config, scheduler: Config) -> None:
    """Build both for a single weight, to see whether torch takes their settings.

    Raises:
        ArgumentError: a name is unknown, or torch does not take one of the settings.
    """
    nothing = [nn.Parameter(torch.zeros(1))]
    SCHEDULERS.build(scheduler, OPTIMIZERS.build(optimizer, nothing, fused=False), 10)
