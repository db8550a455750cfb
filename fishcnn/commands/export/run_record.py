"""What a run folder has on record, as far as a model card tells it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fishcnn.commands.settings import plain
from fishcnn.commands.train.resume import read_checkpoint
from fishcnn.commands.trained_run import run_config


@dataclass(frozen=True)
class Record:
    """The files of a run folder; what is not there is empty.

    Attributes:
        config: the settings.
        overrides: what was typed; of paths only the last part.
        summary: ``summary.json``, where it is about this checkpoint.
        validated_on: number of validation pictures.
        evaluation: ``accuracy`` and ``ece`` of ``evaluation/evaluation.json``.
        data: the table of classes and the score to beat, from ``data.md``.
        diagnosis: the sentences of ``diagnosis.md``.
        versions: with what it was trained.
    """

    config: Mapping[str, Any]
    overrides: tuple[str, ...]
    summary: Mapping[str, Any]
    validated_on: int
    evaluation: Mapping[str, float]
    data: str
    diagnosis: tuple[str, ...]
    versions: Mapping[str, str]


def read_record(folder: Path, checkpoint: Path) -> Record:
    """Read what a run folder says of one of its checkpoints."""
    summary = _json(folder / "summary.json")
    if summary and summary["best_epoch"] != read_checkpoint(checkpoint).epochs:
        summary = {}
    evaluation = _json(folder / "evaluation" / "evaluation.json")
    typed = folder / ".hydra" / "overrides.yaml"
    overrides = list(OmegaConf.load(typed)) if typed.is_file() else []
    lines = _text(folder / "data.md").splitlines()
    return Record(
        config=plain(run_config(checkpoint)),
        overrides=tuple(_without_folders(str(override)) for override in overrides),
        summary=summary,
        validated_on=len(_json(folder / "split.json").get("val", [])),
        evaluation={
            name: float(evaluation[name])
            for name in ("accuracy", "ece")
            if isinstance(evaluation.get(name), int | float)
        },
        data="\n".join(
            "\n" + line if line.startswith("Always ") else line
            for line in lines
            if line.startswith(("|", "Always "))
        ),
        diagnosis=tuple(
            line for line in _text(folder / "diagnosis.md").splitlines() if line.startswith("**")
        ),
        versions=_json(folder / "versions.json"),
    )


def _without_folders(override: str) -> str:
    """Keep of a path the last part: a card is for others to read."""
    name, equals, value = override.partition("=")
    value = value.strip("'\"")
    if value.startswith(("/", "~")):
        return f"{name}{equals}.../{Path(value).name}"
    return override


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _json(file: Path) -> dict[str, Any]:
    return json.loads(_text(file) or "{}") or {}
