"""Going on with an earlier run: finding its checkpoint and checking that it fits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from fishcnn.build import plain
from fishcnn.errors import FishError


@dataclass(frozen=True)
class Checkpoint:
    """What has to be known of a checkpoint before it is loaded.

    Attributes:
        path: the file.
        epochs: how many epochs it was trained for.
        planned_epochs: for how many its schedule was made; None where that does not matter.
        hyperparameters: of its classifier.
    """

    path: Path
    epochs: int
    planned_epochs: int | None
    hyperparameters: dict[str, Any]


def find_checkpoint(named: str, runs: Path) -> Path:
    """Find the checkpoint to continue from.

    Args:
        named: a checkpoint file, a run folder, or ``"last"`` for the newest run.
        runs: the folder below which ``"last"`` looks.

    Raises:
        FishError: there is none.
    """
    if named == "last":
        candidates = sorted(runs.rglob("checkpoints/last.ckpt"), key=lambda p: p.stat().st_mtime)
        if not candidates:
            raise FishError(f"ckpt_path=last: there is no run with a checkpoint below {runs}")
        return candidates[-1]
    path = Path(named).expanduser()
    inside = path / "checkpoints" / "last.ckpt"
    if path.is_dir() and inside.is_file():
        return inside
    if not path.is_file():
        raise FishError(
            f"ckpt_path={named}: wanted a checkpoint file, a run folder that holds "
            "checkpoints/last.ckpt, or last"
        )
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what is known of a checkpoint.

    Raises:
        FishError: the file is no checkpoint of this project.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        epochs = content["epoch"] + 1
        schedule: dict[str, Any] = next(iter(content["lr_schedulers"]), {})
        planned_steps = schedule.get("T_max", schedule.get("total_steps"))  # cosine, onecycle
        return Checkpoint(
            path=path.resolve(),
            epochs=epochs,
            planned_epochs=planned_steps and round(planned_steps * epochs / content["global_step"]),
            hyperparameters=dict(content["hyper_parameters"]),
        )
    except Exception as error:  # torch passes on whatever its readers raise
        raise FishError(f"ckpt_path={path} is no checkpoint of fishcnn: {error}") from error


def check_resumable(checkpoint: Checkpoint, config: DictConfig) -> None:
    """Check that a run can go on under this configuration.

    Raises:
        FishError: the network or its training would be another one, or nothing is left to train.
    """
    now = {group: plain(config[group]) for group in ("model", "optimizer", "scheduler")}
    now["data"] = {"image_size": config.data.image_size}
    before = {group: dict(checkpoint.hyperparameters[group]) for group in now if group != "data"}
    before["data"] = {"image_size": checkpoint.hyperparameters["image_size"]}
    different = [
        f"{group}.{key}={before[group].get(key)}"
        for group in now
        for key in sorted(now[group].keys() | before[group].keys())
        if now[group].get(key) != before[group].get(key)
    ]
    if different:
        raise FishError(
            f"ckpt_path={checkpoint.path} was trained with other settings: repeat the command of "
            f"that run, or add {' '.join(different)}"
        )
    epochs = config.trainer.max_epochs
    if checkpoint.epochs >= epochs:
        raise FishError(
            f"ckpt_path={checkpoint.path} has been trained for {checkpoint.epochs} epochs already "
            f"and trainer.max_epochs={epochs}: raise it to go on"
        )
    planned = checkpoint.planned_epochs
    if planned not in (None, epochs):
        raise FishError(
            f"trainer.max_epochs={epochs}: scheduler={now['scheduler']['name']} has shaped the "
            f"learning rate for {planned} epochs, so the run can only go on to that"
        )
