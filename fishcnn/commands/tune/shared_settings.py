"""What the trials of a search have in common, and where a search is written."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.how_computed import HOW_COMPUTED, belongs
from fishcnn.commands.overrides import quoted
from fishcnn.commands.settings import CONF, leaves, plain
from fishcnn.commands.train.own_settings import key_of, typed_for_job
from fishcnn.commands.tune.space import Entry, Value
from fishcnn.data.streaming.packed_files import absolute_root
from fishcnn.utils.errors import FishError, typed
from fishcnn.utils.files import regular_target
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import TUNED

# Settings of this command, and those that say where a trial is computed, not what.
_OWN = ("tune", "search", "sweep")
_ASIDE = (*_OWN, *HOW_COMPUTED, "runs", "trainer.compile", "trainer.devices")
_PATHS = (
    *("data.root", "data.masks_root", "data.labels", "data.cache_root"),
    *("model.weights", "tune.output"),
)


def typed_for_search(config: DictConfig) -> list[str]:
    """What was typed, as it means the same from any folder."""
    return [_from_anywhere(word, config) for word in typed_for_job()]


def _from_anywhere(word: str, config: DictConfig) -> str:
    name = key_of(word)
    path = OmegaConf.select(config, name) if name in _PATHS else None
    return f"{name}={quoted(absolute_root(path))}" if path else word


def fixed_settings(config: DictConfig, space: Sequence[Entry]) -> list[str]:
    """What was typed for all trials, as scripts/train.py takes it.

    Raises:
        FishError: a setting is typed, and varied.
    """
    names = {word: key_of(word) for word in typed_for_search(config)}
    words = [word for word, name in names.items() if name.partition(".")[0] not in _OWN]
    for entry in space:
        for word in words:
            name = names[word]
            if name == entry.name or f"{name}.".startswith(f"{entry.name}."):
                raise FishError(
                    f"{word}: the search varies {entry.name}; leave this out, or keep it as "
                    f"typed in all trials by adding ~search.{entry.name}"
                )
    inner = "data.inner_split"
    kept = [word for word in words if names[word] != inner]
    return [*kept, f"{inner}={typed(config.data.inner_split)}"]


def in_common(config: DictConfig, space: Sequence[Entry]) -> dict[str, Any]:
    """What the trials of a study have in common, by name; what is varied stands there as such."""
    fixed = dict(leaves(plain(config)))
    for name in _PATHS:
        if fixed.get(name):
            fixed[name] = absolute_root(str(fixed[name]))
    aside = (*_ASIDE, *(entry.name for entry in space))
    kept = {name: value for name, value in fixed.items() if not belongs(name, aside)}
    return kept | {f"search.{entry.name}": entry.described() for entry in space}


def default_values(config: DictConfig, space: Sequence[Entry]) -> dict[str, Value]:
    """The values that the settings have where nothing is varied, or the nearest to them."""
    chosen = HydraConfig.get().runtime.choices
    found: dict[str, Value] = {}
    for entry in space:
        now = chosen.get(entry.name) or OmegaConf.select(config, entry.name)
        if OmegaConf.is_config(now):
            now = OmegaConf.to_container(now)
        if (value := entry.nearest(now)) is not None:
            found[entry.name] = value
    return found


def study_folder(config: DictConfig) -> Path:
    """The folder of a search, absolute; a new one where none was typed.

    Raises:
        FishError: it cannot be one.
    """
    if config.tune.study:
        folder = user_path(config.tune.study).absolute()
        if os.path.lexists(folder) and not folder.is_dir():
            raise FishError(f"tune.study={folder} is not a folder: choose another one")
    else:
        begun = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        folder = user_path(config.runs).absolute() / "search" / begun
    if "${" in str(folder):
        raise FishError(f"tune.study={folder}: Hydra cannot work in a folder with ${{ in its name")
    return folder


def output_file(config: DictConfig, folder: Path) -> Path:
    """Where the best settings go.

    Raises:
        FishError: nothing can be written there.
    """
    if not config.tune.output:
        return folder / TUNED
    file = user_path(config.tune.output).absolute()
    said = f"tune.output={config.tune.output}"
    if file.suffix != ".yaml":
        raise FishError(
            f"{said}: name a file that ends in .yaml, {CONF / 'experiment'}/NAME.yaml say"
        )
    if not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise FishError(f"{said}: {file.parent} is not a folder that you may write to")
    regular_target(file)
    return file
