"""What TensorBoard shows of a configuration: the name of the run, and the HParams tab."""

import re
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.how_computed import HOW_COMPUTED, belongs
from fishcnn.commands.run_files import read_swept
from fishcnn.commands.train.own_settings import OF_A_START, typed_for_job
from fishcnn.training.callbacks.tensorboard_tabs import Value
from fishcnn.utils.errors import typed

# Columns of the HParams tab; what else was chosen is added.
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
_ASIDE = (*OF_A_START, *HOW_COMPUTED, "trainer.devices", "trainer.num_nodes")
# Settings of these name a run: what is trained, not on which images or how long.
_NAMING = ("experiment", "model", "augment", "optimizer", "scheduler", "loss", "seed")
# A folder cannot be called so, on one system or another.
_NO_NAME = re.compile(r"""[\s\x00-\x1f\ud800-\udfff<>:"'/\\|?*]+""")
_MOST_BYTES = 200  # of the name of a folder; 255 are allowed


def typed_settings() -> list[str]:
    """Names of the settings and groups that the command line has chosen."""
    words = typed_for_job()
    return list(dict.fromkeys(word.lstrip("+~").partition("=")[0] for word in words))


def swept_settings() -> list[str]:
    """Names of those that a sweep varies; none outside of a sweep."""
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return []
    typed = OverridesParser.create().parse_overrides(read_swept(Path(hydra.sweep.dir)))
    # What is typed twice counts as typed last. A sweeper may add others, which nobody has typed.
    sweeps = {override.key_or_group: override.is_sweep_override() for override in typed}
    return [name for name in typed_settings() if sweeps.get(name, True)]


def run_name(config: DictConfig) -> str:
    """What TensorBoard calls a run, such as ``blocks=3,lr=0.001``: what a sweep varies.

    Outside of a sweep, what was chosen for the network and its training; where nothing was, the
    name of the network. It is a folder's name on any system.
    """
    keys = swept_settings()
    keys = keys or [key for key in typed_settings() if key.partition(".")[0] in _NAMING]
    short = [key.rpartition(".")[2] for key in keys]
    names = [key if short.count(name) > 1 else name for key, name in zip(keys, short, strict=True)]
    chosen = [f"{name}={_shown(config, key)}" for name, key in zip(names, keys, strict=True)]
    name = ",".join(chosen) or str(config.model.get("architecture", config.model.name))
    return _NO_NAME.sub("_", name).encode()[:_MOST_BYTES].decode(errors="ignore").rstrip(".")


def _shown(config: DictConfig, key: str) -> str:
    """A value in the fewest letters; of a group, which choice."""
    choices = HydraConfig.get().runtime.choices
    value = choices[key] if key in choices else OmegaConf.select(config, key)
    return f"{value:g}" if isinstance(value, float) else typed(value)


def hyperparameters(config: DictConfig) -> dict[str, Value | None]:
    """Values for the HParams tab, by dotted name; None where a network or source has none.

    Of a job of a sweep, only what the sweep varies: a table that begins with what matters.
    """
    choices = HydraConfig.get().runtime.choices
    swept = swept_settings()
    values: dict[str, Value | None] = {}
    typed = [key for key in typed_settings() if not belongs(key.replace("/", "."), _ASIDE)]
    for key in swept or dict.fromkeys(["experiment", *_HYPERPARAMETERS, *typed]):
        if key == "experiment":
            values[key] = choices.get(key)
            continue
        name = f"{key}.name" if key in choices else key
        value = OmegaConf.select(config, name)
        values[name] = value if isinstance(value, bool | int | float | str | None) else str(value)
    return values
