"""Runs whose answers are known."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from fishcnn.commands.build import compose_config
from fishcnn.commands.validation_table import COLUMNS
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.utils.run_folder import RunFolder

MakeRun = Callable[..., RunFolder]


@cache
def _config(overrides: tuple[str, ...]) -> str:
    config = compose_config("data=folder", "data.root=/fish/photos", *overrides)
    return OmegaConf.to_yaml(config, resolve=True)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write what a run leaves: of an answer a letter, 1 for right and 0 for wrong."""

    def make(
        name: str,
        *overrides: str,
        answers: str | Mapping[int, str] | None = None,
        groups: list[int] | None = None,
        truth: Sequence[str] | None = None,
        **summary: Any,
    ) -> RunFolder:
        run = RunFolder(tmp_path / name)
        run.typed_last.parent.mkdir(parents=True)
        run.typed.write_text(yaml.safe_dump([*overrides]))
        run.typed_last.write_text(yaml.safe_dump([*overrides]))
        run.config.write_text(_config(overrides))
        if answers is None:
            return run
        of_image = dict(enumerate(answers)) if isinstance(answers, str) else answers
        hits, total = sum(map(int, of_image.values())), len(of_image)
        with run.validation.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for number, (image, right) in enumerate(of_image.items()):
                group = image if groups is None else groups[number]
                label = "carp" if truth is None else truth[image]
                guess = label if int(right) else "no fish"
                writer.writerow([f"{image}.png", f"{image:032x}", group, label, guess, 0.9])
        content = {
            **{"best_epoch": 2, "epochs": 3, "val_acc": hits / total, "val_f1": 0.5},
            **{"val_pictures": total, "val_acc_interval": wilson_interval(hits, total)},
            **{"val_loss": 1 - hits / total, "seconds": 7.0, "checkpoint": "best.ckpt"},
        }
        run.summary.write_text(json.dumps(content | summary))
        return run

    return make
