"""Reading what a run has written down, which somebody may have damaged since.

Hydra loads this before any job of a sweep, so nothing heavy may be imported here.
"""

import json
import logging
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fishcnn.commands.settings import literal
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import SWEEP_SETTINGS, RunFolder

log = logging.getLogger(__name__)

# A run writes a few thousand bytes, and no anchors, by which a small file can grow to any size.
_MOST_BYTES = 50_000
_MOST_JSON_BYTES = 2**30  # split.json lists some millions of images
# Each in the other would take the reader a time that grows with the square of their number.
_MOST_BRACKETS = 500
# Without them nothing can be said about the images of a run.
_GROUPS = ("data", "augment", "optimizer", "scheduler", "callbacks")
_SPLITS = ("train", "val", "test")
_STILL_USABLE = (
    "The checkpoints of the run can be used without it, on images that you name: predict and "
    "export by input=, explain by input= and trust=false, evaluate by data_root="
)


def read_config(run: RunFolder) -> DictConfig:
    """The configuration of a run, which has resolved all interpolations.

    Raises:
        FishError: the file is missing or damaged; the message says what can be used all the same.
    """
    try:
        content = _read_yaml(run.config)
        config = OmegaConf.create(literal(content) if isinstance(content, dict) else {})
        for group in _GROUPS:
            if not isinstance(config.get(group), DictConfig):
                raise _Damaged(f"is damaged: it has no group {group}")
    except (_Damaged, OmegaConfBaseException) as error:
        problem = error if isinstance(error, _Damaged) else f"is damaged ({error})"
        raise FishError(f"{run.config} {problem}. {_STILL_USABLE}") from error
    return config


def read_overrides(run: RunFolder, *, last: bool = False) -> list[str]:
    """What was typed for a run, or for its last start, as far as it was written down."""
    try:
        content = _read_yaml(run.typed_last if last else run.overrides)
    except _Damaged:
        return []
    return [str(override) for override in content] if isinstance(content, list) else []


def read_composed(run: RunFolder) -> dict[str, Any]:
    """The configuration of a run as Hydra has composed it; {} where nothing can be read."""
    try:
        content = _read_yaml(run.composed)
    except _Damaged:
        return {}
    return content if isinstance(content, dict) else {}


def read_swept(sweep: Path) -> list[str]:
    """What was typed for a sweep, before Hydra made jobs of it, as far as it was written down."""
    try:
        content = _read_yaml(sweep / SWEEP_SETTINGS)
        return [str(override) for override in content["hydra"]["overrides"]["task"]]
    except (_Damaged, KeyError, TypeError):
        return []


def read_split(run: RunFolder) -> dict[str, list[str]]:
    """The images of the splits ``train``, ``val`` and ``test`` of a run, by relative path.

    Raises:
        FishError: the file is missing or damaged; the message says what can be used all the same.
    """
    try:
        content = {"train": [], "test": [], **_read_json(run.split)}
        for name in _SPLITS:
            paths = content.get(name)
            if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
                raise _Damaged(f"is damaged: it has no list {name}")
    except _Damaged as error:
        problem = f"{run.split} {error}, so it is not known which images the run has held out"
        raise FishError(f"{problem}. {_STILL_USABLE}") from error
    return {name: content[name] for name in _SPLITS}


def read_notes(file: Path) -> dict[str, Any]:
    """What is good to know of a run, such as ``summary.json``; {} with a warning if damaged."""
    if not file.is_file():
        return {}
    try:
        return _read_json(file)
    except _Damaged as error:
        log.warning("%s %s; what it says is left out.", file, error)
        return {}


class _Damaged(Exception):
    """What is wrong with a file, in words that follow its name."""


def _read_json(file: Path) -> dict[str, Any]:
    text = _read(file)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Damaged(f"is damaged ({error})") from error
    if not isinstance(content, dict):
        raise _Damaged("is damaged: it is not an object with names")
    return content


def _read_yaml(file: Path) -> Any:  # noqa: ANN401 - YAML can be anything
    text = _read(file, most=_MOST_BYTES)
    if text.count("[") + text.count("{") > _MOST_BRACKETS:
        raise _Damaged("is damaged: no run writes so many brackets there")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise _Damaged("is damaged: no run writes an alias (*name) there")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise _Damaged(f"is damaged ({reason})") from error


def _read(file: Path, *, most: int = _MOST_JSON_BYTES) -> str:
    try:
        if file.exists() and not file.is_file():
            raise _Damaged("is not a regular file")
        if (size := file.stat().st_size) > most:
            raise _Damaged(f"is damaged: no run writes {size:,} bytes there")
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise _Damaged("is missing") from error
    except OSError as error:
        raise _Damaged(f"cannot be read ({(error.strerror or str(error)).lower()})") from error
    except ValueError as error:
        raise _Damaged("is damaged: it is not text") from error
    if not text.strip():
        raise _Damaged("is empty")
    return text
