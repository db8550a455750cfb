"""Arguments of torch's optimizers and schedules are checked, as torch itself does not."""

from inspect import signature

import pytest
import torch
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from fishcnn.models.optimization import OPTIMIZERS, SCHEDULERS, check_optimizer, check_scheduler
from fishcnn.utils.errors import ArgumentError

CHOICES = {
    "adam": Adam,
    "adamw": AdamW,
    "sgd": SGD,
    "plateau": ReduceLROnPlateau,
    "onecycle": OneCycleLR,
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("value", ["no", "abc", -3, [[]]])
def test_no_argument_of_torch_takes_what_it_cannot_be(choice: str, value: object) -> None:
    """Neither those of today nor whatever its next version adds."""
    taken = []
    for name in signature(CHOICES[choice]).parameters:
        config = {"name": choice, name: value}
        try:
            if issubclass(CHOICES[choice], Adam | SGD):
                check_optimizer(config)
            else:
                check_scheduler(config, lr=0.1)
            taken.append(name)
        except ArgumentError as error:
            assert error.name == name  # noqa: PT017
    assert taken == []


def test_the_other_arguments_of_torch_can_be_used() -> None:
    check_optimizer({"name": "adam", "foreach": True, "maximize": False, "eps": 1e-7})
    check_scheduler(
        {"name": "plateau", "threshold_mode": "abs", "min_lr": 1e-6, "cooldown": 2}, lr=0.1
    )
    check_scheduler(
        {"name": "onecycle", "anneal_strategy": "linear", "div_factor": 10, "three_phase": True},
        lr=0.1,
    )


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "none", "plateau"])
def test_the_backbone_can_have_a_lower_learning_rate_than_the_head(schedule: str) -> None:
    head, others = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(3))
    config = {"name": "adamw", "lr": 0.1, "backbone_lr_scale": 0.01}
    optimizer = OPTIMIZERS.build(config, [others, head], head={head})
    SCHEDULERS.build(schedule, optimizer, 10)
    assert [group["params"] for group in optimizer.param_groups] == [[head], [others]]
    first, second = (group["lr"] for group in optimizer.param_groups)
    assert second == pytest.approx(first / 100)
    # None of them where there are none.
    assert len(OPTIMIZERS.build(config, [head], head={head}).param_groups) == 1
