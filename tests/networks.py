"""A classifier that is small enough for tests, untrained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fishcnn.data.decoding.resize import SQUASH
from fishcnn.models.classifier import FishClassifier

MODEL: dict[str, Any] = {
    "name": "cnn",
    "blocks": 2,
    "base_channels": 4,
    "max_channels": 8,
    "head": "gap",
    "hidden": 8,
    "dropout": 0.5,
}


def small_classifier(
    classes: Sequence[str],
    *,
    mean: Sequence[float] = (0.5, 0.5, 0.5),
    std: Sequence[float] = (0.25, 0.25, 0.25),
    image_size: int = 16,
    working_size: int = 20,
    resize: str = SQUASH,
    model: dict[str, Any] | None = None,
) -> FishClassifier:
    """Build one with the same weights every time; ``model`` changes single settings."""
    torch.manual_seed(0)
    return FishClassifier(
        classes=classes,
        image_size=image_size,
        working_size=working_size,
        resize=resize,
        mean=mean,
        std=std,
        model=MODEL | (model or {}),
        optimizer={"name": "sgd", "lr": 0.01, "weight_decay": 0.0},
        scheduler={"name": "none"},
        label_smoothing=0.0,
        class_weights=None,
    )


def make_overconfident(checkpoint: Path) -> None:
    """Make the network of a checkpoint twelve times as sure, so that it needs a temperature."""
    content = torch.load(checkpoint, weights_only=True)
    *_, last = (name for name, value in content["state_dict"].items() if value.ndim == 2)
    for name in (last, last.replace("weight", "bias")):
        content["state_dict"][name] *= 12
    torch.save(content, checkpoint)
