"""Going on with an earlier run: whether its checkpoint fits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from fishcnn.commands.images_of_run import check_same_images, check_same_labels
from fishcnn.commands.run_files import read_config, read_split
from fishcnn.commands.settings import as_settings, plain
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.resize import SQUASH
from fishcnn.data.loaders import steps_per_epoch
from fishcnn.data.streaming.stream_datamodule import StreamDataModule
from fishcnn.models.checkpoint import CheckpointError, verified_checkpoint
from fishcnn.training.callbacks.history import EVENTS
from fishcnn.training.checkpoint_writer import Progress
from fishcnn.utils.errors import FishError, typed
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import same_names

_GROUPS = ("model", "optimizer", "scheduler")
# By these names Lightning keeps what a datamodule knows of a fit.
_DATAMODULES = (FishDataModule.__name__, StreamDataModule.__name__)


@dataclass(frozen=True)
class Checkpoint:
    """What has to be known of a checkpoint before a run goes on from it.

    Attributes:
        path: the file.
        progress: how far its training was.
        planned_steps: for how many its schedule was made; None where that does not matter.
        averaged: whether it holds the moving average of the weights.
        stopped_early: whether early stopping has ended its training.
        classes: class names in the order of the logits.
        batch: images of a batch over all processes; None in those of earlier versions.
        settings: what must be the same to go on, by dotted name.
        events: sizes of the files for TensorBoard then; None of an earlier version.
    """

    path: Path
    progress: Progress
    planned_steps: int | None
    averaged: bool
    stopped_early: bool
    classes: list[str]
    batch: int | None
    settings: dict[str, Any]
    events: dict[str, int] | None

    @property
    def epochs(self) -> int:
        """How many whole epochs it was trained for."""
        return self.progress.epochs


def read_checkpoint(path: Path, *, finite: bool = True) -> Checkpoint:
    """Read what is known of a checkpoint.

    Args:
        path: of the file.
        finite: whether one of a training that has diverged is refused.

    Raises:
        FishError: the file is not a checkpoint of this project.
    """
    try:
        content = verified_checkpoint(path, finite=finite)
        known = content["hyper_parameters"]
        schedule = content["lr_schedulers"][0]
        return Checkpoint(
            path=path.resolve(),
            progress=Progress.of(content),
            planned_steps=schedule.get("T_max", schedule.get("total_steps")),  # cosine, onecycle
            averaged="averaging_state" in content,
            stopped_early=any(s.get("stopped_epoch") for s in content["callbacks"].values()),
            classes=list(known["classes"]),
            batch=next((content[kind]["rows"] for kind in _DATAMODULES if kind in content), None),
            settings={
                # Of a run of an earlier version.
                "data.resize": known.get("resize", SQUASH),
                **_settings(known["image_size"], known["label_smoothing"], known),
            },
            events=content.get(EVENTS),
        )
    except CheckpointError as error:
        raise FishError(f"ckpt_path={error}") from error
    except (LookupError, TypeError, AttributeError) as error:
        problem = f"is not a checkpoint of fishcnn that a run can go on from: {error!r}"
        raise FishError(f"ckpt_path={path} {problem}") from error


def _settings(
    image_size: int, label_smoothing: float, groups: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "data.image_size": image_size,
        "loss.label_smoothing": label_smoothing,
        **{f"{group}.{key}": value for group in _GROUPS for key, value in groups[group].items()},
    }


def check_resumable(checkpoint: Checkpoint, config: DictConfig) -> None:
    """Check that a run can go on under this configuration.

    Within its run folder a checkpoint has the settings of that; elsewhere they have to be typed.

    Raises:
        FishError: the network or its training would be another one.
    """
    groups = {group: plain(config[group]) for group in _GROUPS}
    now = _settings(config.data.image_size, config.loss.label_smoothing, groups)
    now["data.resize"] = config.data.get("resize", SQUASH)
    if different := _differences(checkpoint.settings, now):
        raise FishError(
            f"ckpt_path={checkpoint.path} was trained with other settings: add "
            f"{' '.join(different)}"
        )
    if checkpoint.averaged != config.callbacks.ema.enabled:
        raise FishError(
            f"ckpt_path={checkpoint.path}: add callbacks.ema.enabled={typed(checkpoint.averaged)}, "
            "as it was in that run"
        )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Overrides that bring the settings of now back to those of before."""
    other_groups = [g for g in _GROUPS if before[f"{g}.name"] != now[f"{g}.name"]]
    overrides = [f"{group}={before[f'{group}.name']}" for group in other_groups]
    for name, value in before.items():
        # A group that is exchanged as a whole brings its own values along.
        if name.partition(".")[0] not in other_groups and now.get(name) != value:
            overrides.append(f"{name}={typed(value)}")
    return overrides


def check_same_data(
    checkpoint: Checkpoint, datamodule: FishDataModule, config: DictConfig, processes: int
) -> None:
    """Check that a run goes on with the classes, the split and the batches that it began with.

    Each of the ``processes`` trains on its share of the batches.

    Raises:
        FishError: images of the earlier training split would be validated on, say.
    """
    if not same_names(checkpoint.classes, datamodule.classes):
        then, today = (
            f"{len(names)} classes ({', '.join(names)})"
            for names in (checkpoint.classes, datamodule.classes)
        )
        data = config.data
        where = next((name for name in ("root", "species") if data.get(name)), None)
        setting = f"data.{where}={data[where]}" if where else f"data={data.name}"
        raise FishError(
            f"ckpt_path={checkpoint.path} was trained on {then}; {setting} gives {today}: set it "
            "as it was, or leave out ckpt_path= to begin another run"
        )
    run = RunFolder.of(checkpoint.path)
    if run:
        check_same_images(run, datamodule)
        with as_settings("data."):
            check_same_labels(run, datamodule)
        before = read_split(run)["val"]
        now = [datamodule.images.paths[row].as_posix() for row in datamodule.split.val]
        if not same_names(before, now):
            raise FishError(
                f"ckpt_path={checkpoint.path} was validated on other images, as {run.split} says: "
                "have images been added or taken away since?"
            )
    _check_batches(checkpoint, run, datamodule.batch_size, processes)
    planned, epochs = checkpoint.planned_steps, config.trainer.max_epochs
    images, batch_size = len(datamodule.datasets["train"]), datamodule.batch_size
    steps = steps_per_epoch(images, batch_size, processes) * epochs
    if planned not in (None, steps):
        shaped = f"{planned} steps"
        if not checkpoint.progress.within:
            of_that_run = planned * checkpoint.epochs / checkpoint.progress.steps
            shaped += f" ({of_that_run:g} epochs of that run)"
        raise FishError(
            f"scheduler={config.scheduler.name} has shaped the learning rate for {shaped}, not for "
            f"the {steps} of trainer.max_epochs={epochs} with "
            f"data.batch_size={datamodule.batch_size}"
        )


def _check_batches(
    checkpoint: Checkpoint, run: RunFolder | None, batch_size: int, processes: int
) -> None:
    """Check that a batch has as many images over all processes, however many these are."""
    before = checkpoint.batch
    if before is None and run is not None:
        config = read_config(run)
        devices = config.trainer.get("devices", 1)
        before = config.data.batch_size * devices if isinstance(devices, int) else None
    if before in (None, batch_size * processes):
        return
    share, rest = divmod(before, processes)
    add = "choose another number of processes" if rest else f"add data.batch_size={share}"
    raise FishError(
        f"ckpt_path={checkpoint.path} was trained with batches of {before} images over all "
        f"processes; data.batch_size={batch_size} makes {batch_size * processes} with {processes}: "
        f"{add}"
    )
