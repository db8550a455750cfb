"""What the HParams tab of TensorBoard shows of a configuration."""

from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fishcnn.training.callbacks.tensorboard_tabs import Value

# Columns of the HParams tab; what else was overridden on the command line is added.
_HYPERPARAMETERS = (
    "data.name",
    "data.image_size",
    "data.batch_size",
    "data.split_seed",
    "data.normalize",
    "data.shortcut",
    "augment.name",
    "model.name",
    "model.blocks",
    "model.head",
    "model.dropout",
    "model.architecture",
    "model.pretrained",
    "model.freeze_backbone",
    "optimizer.name",
    "optimizer.lr",
    "optimizer.weight_decay",
    "scheduler.name",
    "loss.label_smoothing",
    "callbacks.ema.enabled",
    "callbacks.early_stopping.enabled",
    "trainer.max_epochs",
    "seed",
)


def overridden_settings() -> list[str]:
    """Names of the settings that the command line has chosen; a whole group gives its name."""
    # As typed: an interpolation would be looked for among the settings of Hydra.
    task: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    keys = [override.lstrip("+~").partition("=")[0] for override in task]
    groups = HydraConfig.get().runtime.choices
    return [f"{key}.name" if key in groups and key != "experiment" else key for key in keys]


def hyperparameters(config: DictConfig, overridden: Sequence[str]) -> dict[str, Value | None]:
    """Values for the HParams tab, by dotted name; None where a network or source has none."""
    values: dict[str, Value | None] = {}
    for name in dict.fromkeys(["experiment", *_HYPERPARAMETERS, *overridden]):
        value = OmegaConf.select(config, name)
        values[name] = value if isinstance(value, bool | int | float | str | None) else str(value)
    values["experiment"] = HydraConfig.get().runtime.choices.get("experiment")
    return values
