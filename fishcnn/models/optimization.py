"""Optimizers and learning rate schedules by name; torch only.

Besides the settings that have a default here they take other arguments of torch's own, which have
to be listed with what they may be: torch takes any text for a switch, and checks few numbers.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
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
from fishcnn.utils.checks import (
    Check,
    check_arguments,
    choice,
    flag,
    number,
    optional,
    several,
    whole,
)
from fishcnn.utils.errors import ArgumentError

# Of any optimizer and any schedule; torch's own checks, of these and others, name none of them.
_NEVER = choice(False)
_OPTIMIZER_SETTINGS = {
    "lr": number(0, 1000),
    "weight_decay": number(0, 1000),
    "backbone_lr_scale": number(0, 1000),
    "momentum": number(0, 1),
    "dampening": number(0, 1),
    "nesterov": flag,
    "betas": several(number(0, 0.999999), 2),
    "eps": number(0, 1),
    "amsgrad": flag,
    "decoupled_weight_decay": flag,
    "foreach": optional(flag),
    "maximize": _NEVER,  # would climb the loss
    "capturable": _NEVER,  # these two are for loops of another kind
    "differentiable": _NEVER,
}
_SCHEDULER_SETTINGS = {
    "factor": number(0, 0.999),
    "patience": whole(0),
    "eta_min": number(0, 1000),
    "pct_start": number(0.01, 0.99),
    "mode": choice("min"),  # of the validation loss
    "threshold": number(0),
    "threshold_mode": choice("rel", "abs"),
    "cooldown": whole(0),
    "min_lr": number(0, 1000),
    "eps": number(0, 1),
    "anneal_strategy": choice("cos", "linear"),
    "cycle_momentum": flag,
    "base_momentum": number(0, 0.999999),
    "max_momentum": number(0, 0.999999),
    # Shares of optimizer.lr, which is the highest.
    "div_factor": number(1),
    "final_div_factor": number(1),
    "three_phase": flag,
}


def _onecycle(
    optimizer: Optimizer, steps: int, *, pct_start: float, **settings: Any
) -> LRScheduler:
    if steps < 2:  # torch's would take the only step at its lowest rate
        return ConstantLR(optimizer, factor=1.0)
    if steps == 2 or pct_start * steps == 1:
        # The way up has no step of its own: torch divides by its length, so it begins at the peak.
        pct_start = min(pct_start, (1 - 1e-6) / steps)
    peak = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, max_lr=peak, total_steps=steps, pct_start=pct_start, **settings)


def _cosine(optimizer: Optimizer, steps: int, *, eta_min: float, **settings: Any) -> LRScheduler:
    peak = optimizer.param_groups[0]["lr"]
    if not 0 <= eta_min <= peak:
        raise ValueError(f"eta_min={eta_min}: choose from 0 to optimizer.lr, which is {peak}")
    return CosineAnnealingLR(optimizer, T_max=steps, eta_min=eta_min, **settings)


def _optimizer(
    kind: Callable[..., Optimizer],
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    backbone_lr_scale: float,
    head: Collection[nn.Parameter] = (),
    **settings: Any,
) -> Optimizer:
    if backbone_lr_scale == 1:
        return kind(parameters, lr=lr, **settings)
    parts: dict[float, list[nn.Parameter]] = {lr: [], lr * backbone_lr_scale: []}
    for one in parameters:
        parts[lr if one in head else lr * backbone_lr_scale].append(one)
    groups = [{"params": part, "lr": rate} for rate, part in parts.items() if part]
    return kind(groups, lr=lr, **settings)


# An optimizer is built from parameters, and from which of them are those of the head.
OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")
_ADD = partial(OPTIMIZERS.add, backbone_lr_scale=1.0)
_ADD("adam", partial(_optimizer, Adam), lr=2e-3, weight_decay=0.0)
_ADD("adamw", partial(_optimizer, AdamW), lr=1e-3, weight_decay=0.05)
_ADD("sgd", partial(_optimizer, SGD), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
# A schedule is built from an optimizer, whose present learning rate is the highest, and the number
# of optimizer steps in the whole fit. The plateau is stepped with each validation loss, the others
# with each step of the optimizer.
SCHEDULERS: Registry[LRScheduler] = Registry("scheduler")
SCHEDULERS.add(
    "plateau", lambda opt, steps, **more: ReduceLROnPlateau(opt, **more), factor=0.5, patience=3
)
SCHEDULERS.add("cosine", _cosine, eta_min=0.0)
SCHEDULERS.add("onecycle", _onecycle, pct_start=0.2)
SCHEDULERS.add("none", lambda opt, steps, **more: ConstantLR(opt, factor=1.0, **more))


def check_optimizer(config: Config) -> None:
    """Build an optimizer of a single weight, to see whether torch takes its settings.

    Raises:
        ArgumentError: the name is unknown, or one of the settings cannot be used.
    """
    _check(OPTIMIZERS.complete(config), _OPTIMIZER_SETTINGS)
    OPTIMIZERS.build(config, [nn.Parameter(torch.zeros(1))], fused=False)


def check_scheduler(config: Config, *, lr: float) -> None:
    """Build a schedule of a few steps from this learning rate, as :func:`check_optimizer` does."""
    _check(SCHEDULERS.complete(config), _SCHEDULER_SETTINGS)
    SCHEDULERS.build(config, SGD([nn.Parameter(torch.zeros(1))], lr=lr), 10)


def _check(settings: Mapping[str, Any], wanted: Mapping[str, Check]) -> None:
    for name in settings.keys() - wanted.keys() - {"name"}:
        raise ArgumentError(name, settings[name], f"unknown; choose from {', '.join(wanted)}")
    check_arguments(settings, {name: wanted[name] for name in wanted if name in settings})
