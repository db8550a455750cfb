"""No command begins with a setting that it cannot use; found by walking the configuration."""

import math
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.cli import COMMANDS
from fishcnn.commands.settings import CONF
from fishcnn.utils.errors import FishError

Check = Callable[[DictConfig], None]
# Paths, patterns and names, of which any may be somebody's.
FREE_TEXT = {
    "against",
    "augment.name",
    "cache_root",
    "ckpt",
    "ckpt_path",
    "data.cache_root",
    "data.group_regex",
    "data.masks_root",
    "data.root",
    "data_root",
    "input",
    "layer",
    "output",
    "runs",
    "target",
}
# Besides those that are null by default.
NULLABLE = {"data.cache_root"}
NEVER = ({"a": 1}, [[]], math.nan, math.inf, -(10**9), 10**400)


def composed(command: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(command, list(overrides))
    if config.get("data", {}).get("name") == "folder":
        config.data.root = "photos"
    return config


def every_choice(command: str) -> Iterator[DictConfig]:
    """The configuration of a command, with each choice of each of its groups."""
    yield (config := composed(command))
    for group in config:
        for file in sorted((CONF / str(group)).glob("*.yaml")):
            if file.stem != "base":
                yield composed(command, f"{group}={file.stem}")


def leaves(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in config:
        value = config[key]
        name = f"{prefix}{key}"
        if isinstance(value, DictConfig):
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def wrong_values(name: str, default: object) -> Iterator[object]:
    """What a setting of this default can never be."""
    yield from NEVER
    if name in FREE_TEXT:
        yield [1]
    else:
        yield "a word"
        if isinstance(default, bool):
            yield from ("no", "off", 1)
        elif default is not None:
            yield True
    if default is not None and name not in NULLABLE:
        yield None


def problem_of(check: Check, config: DictConfig) -> str | None:
    try:
        check(config)
    except FishError as error:
        return str(error)
    return None


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_of_every_choice_is_checked(command: str) -> None:
    check: Check = getattr(import_module(COMMANDS[command][0]), f"check_{command}")
    taken, seen = [], set()
    for config in every_choice(command):
        assert problem_of(check, config) is None
        for name, default in list(leaves(config)):
            if (name, type(default)) in seen:
                continue
            seen.add((name, type(default)))
            for value in wrong_values(name, default):
                OmegaConf.update(config, name, value, merge=False)
                said = problem_of(check, config)
                # A choice of a group is typed as group=name.
                if said is None or not said.startswith((name, f"{name.removesuffix('.name')}=")):
                    taken.append((name, value, said))
            OmegaConf.update(config, name, default, merge=False)
    assert taken == []
