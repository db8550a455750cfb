"""Reading settings, and checking them before anything expensive begins."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fishcnn.utils.errors import ArgumentError, FishError, typed

# Lowest and highest value, both allowed. Whole numbers are wanted where the lowest one is whole.
_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "data.image_size": (1, 4096),
    "data.batch_size": (2, 2**20),
    "data.working_size": (1, 4096),
    "data.split_seed": (0, 2**32 - 1),
    "data.workers": (1, 1024),
    "data.val_fraction": (0.001, 0.999),
    "data.test_fraction": (0.0, 0.999),
    "data.folds": (2, 1000),
    "data.fold": (0, 999),
    "model.blocks": (0, 64),  # the network says more precisely what fits the pictures
    "model.base_channels": (1, 2**16),
    "model.max_channels": (1, 2**16),
    "model.hidden": (1, 2**20),
    "model.dropout": (0.0, 1.0),
    "optimizer.lr": (0.0, float("inf")),
    "optimizer.weight_decay": (0.0, float("inf")),
    "scheduler.factor": (0.0, 0.999),
    "scheduler.patience": (0, 2**31),
    "scheduler.eta_min": (0.0, float("inf")),
    "scheduler.pct_start": (0.01, 0.99),
    "loss.label_smoothing": (0.0, 1.0),
    "callbacks.early_stopping.patience": (1, 2**31),
    "callbacks.early_stopping.start_epoch": (1, 2**31),
    "callbacks.grad_cam.every_n_epochs": (1, 2**31),
    "callbacks.grad_cam.pictures": (1, 1000),
    "callbacks.grad_cam.measured": (1, 2**31),
    "callbacks.grad_cam.seed": (0, 2**32 - 1),
    "callbacks.ema.decay": (0.0, 1.0),
    "trainer.gradient_clip_val": (1e-6, float("inf")),
    "trainer.max_epochs": (1, 2**31),
    "trainer.check_val_every_n_epoch": (1, 2**31),
}
# null is a value of its own for these.
_OPTIONAL = {"data.workers", "data.working_size", "data.folds", "trainer.gradient_clip_val"}
_CHOICES: dict[str, tuple[str | bool | None, ...]] = {
    "logger.name": ("tensorboard", "none"),
    "data.group_duplicates": (True, False),
    "data.on_device": (True, False, None),
    "trainer.compile": (True, False),
    # Weights of half precision would need pictures of half precision everywhere.
    "trainer.precision": ("auto", "32-true", "bf16-mixed", "16-mixed"),
}


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a node of the configuration to plain dicts, lists, numbers and strings."""
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


@contextmanager
def as_settings(prefix: str = "", **names: str) -> Iterator[None]:
    """Let errors about arguments of the library name the settings that the arguments came from.

    Args:
        prefix: what stands before the name of every argument, such as ``data.``.
        names: the settings of arguments that are called something else, such as
            ``root="data_root"``.

    Raises:
        FishError: in place of an :class:`~fishcnn.utils.errors.ArgumentError`.
    """
    try:
        yield
    except ArgumentError as error:
        setting = names.get(error.name, f"{prefix}{error.name}")
        raise FishError(f"{setting}={typed(error.value)}: {error.problem}") from error


def check_settings(config: DictConfig) -> None:
    """Check the settings that no constructor of ours checks.

    Raises:
        FishError: a setting is out of range; the message names it and its range.
    """
    for name, (low, high) in _RANGES.items():
        group, _, key = name.rpartition(".")
        node = OmegaConf.select(config, group) if group else config
        if node is None or key not in node:
            continue  # a setting of another network or schedule
        value = OmegaConf.select(config, name, throw_on_missing=True)
        if value is None and name in _OPTIONAL:
            continue
        whole = isinstance(low, int)
        kind = int if whole else int | float
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            wanted = "a whole number" if whole else "a number"
            raise FishError(f"{name}={value}: wanted {wanted}{_span(low, high)}")
    for name, choices in _CHOICES.items():
        value = OmegaConf.select(config, name)
        if value not in choices:
            raise FishError(f"{name}={value}: there is {', '.join(map(typed, choices))}")
    epochs, every = config.trainer.max_epochs, config.trainer.check_val_every_n_epoch
    if every > epochs:
        raise FishError(
            f"trainer.check_val_every_n_epoch={every} is more than trainer.max_epochs={epochs}: "
            "nothing would be validated"
        )


def _span(low: float, high: float) -> str:
    """How a person says the range; a highest value that nobody reaches is left out."""
    return f", {low:g} or more" if high > 2**16 else f" from {low:g} to {high:g}"
