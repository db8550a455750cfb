"""From the configuration to the parts of a run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from pytorch_lightning.loggers import TensorBoardLogger

from fishcnn.callbacks.checkpoint import BestCheckpoint
from fishcnn.callbacks.doctor import Doctor
from fishcnn.callbacks.grad_cam import GradCam
from fishcnn.callbacks.history import History
from fishcnn.callbacks.hparams_tab import Value
from fishcnn.callbacks.tensorboard import TensorBoardTabs
from fishcnn.classifier import MONITOR, FishClassifier
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.report import data_report
from fishcnn.data.sources import BengaliFishSource, FolderSource, Source, SyntheticSource
from fishcnn.diagnosis import Settings
from fishcnn.errors import FishError


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a node of the configuration to plain dicts, lists, numbers and strings."""
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def build_source(data: Mapping[str, Any], workers: int) -> Source:
    """Build the source of pictures that ``data.name`` names."""
    if data["name"] == "folder":
        return FolderSource(data["root"], data["masks_root"])
    if data["name"] == "bengali_fish":
        return BengaliFishSource(data["root"])
    if data["name"] == "synthetic":
        names = ("cache", "species", "pictures_per_class", "long_side", "shortcut", "seed")
        return SyntheticSource(workers=workers, **{name: data[name] for name in names})
    raise FishError(f"data.name={data['name']}: there is folder, bengali_fish, synthetic")


def build_datamodule(config: DictConfig) -> FishDataModule:
    """Build the datamodule of the ``data`` and ``augment`` groups."""
    data = plain(config.data)
    workers = os.cpu_count() or 1 if data["workers"] is None else data["workers"]
    size = data["image_size"]
    return FishDataModule(
        source=build_source(data, workers),
        recipe=Recipe.from_config(plain(config.augment)),
        image_size=size,
        working_size=size * 5 // 4 if data["working_size"] is None else data["working_size"],
        batch_size=data["batch_size"],
        val_fraction=data["val_fraction"],
        split_seed=data["split_seed"],
        normalize=data["normalize"],
        workers=workers,
    )


def build_classifier(config: DictConfig, datamodule: FishDataModule) -> FishClassifier:
    """Build the classifier for the classes of a datamodule that is set up."""
    classifier = FishClassifier(
        classes=datamodule.classes,
        image_size=datamodule.image_size,
        working_size=datamodule.working_size,
        mean=datamodule.mean,
        std=datamodule.std,
        model=plain(config.model),
        optimizer=plain(config.optimizer),
        scheduler=plain(config.scheduler),
        label_smoothing=config.loss.label_smoothing,
    )
    classifier.load_pretrained()
    return classifier


def build_settings(config: DictConfig) -> Settings:
    """Collect what the diagnosis has to know of the configuration."""
    return Settings(
        model=config.model.name,
        blocks=config.model.get("blocks"),
        head=config.model.get("head"),
        dropout=config.model.get("dropout"),
        augment=config.augment.name,
        mixing=bool(config.augment.mixup or config.augment.cutmix),
        lr=config.optimizer.lr,
        weight_decay=config.optimizer.weight_decay,
        label_smoothing=config.loss.label_smoothing,
        max_epochs=config.trainer.max_epochs,
        early_stopping=config.callbacks.early_stopping.enabled,
        optimizer=config.optimizer.name,
    )


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
    task = HydraConfig.get().overrides.task
    keys = [override.lstrip("+~").partition("=")[0] for override in task]
    groups = HydraConfig.get().runtime.choices
    return [f"{key}.name" if key in groups and key != "experiment" else key for key in keys]


def hyperparameters(config: DictConfig, overridden: Sequence[str]) -> dict[str, Value | None]:
    """Values for the HParams tab, by dotted name; None where a network or source has none."""
    values: dict[str, Value | None] = {
        "experiment": HydraConfig.get().runtime.choices["experiment"]
    }
    for name in dict.fromkeys([*_HYPERPARAMETERS, *overridden]):
        if name != "experiment":
            value = OmegaConf.select(config, name)
            plain_value = value is None or isinstance(value, bool | int | float | str)
            values[name] = value if plain_value else str(value)
    return values


class Callbacks:
    """The callbacks of a fit; some are asked for what they have found after it."""

    def __init__(self, config: DictConfig, datamodule: FishDataModule, folder: Path) -> None:
        settings = config.callbacks
        overridden = overridden_settings()
        self.history = History(folder)
        self.doctor = Doctor(folder, self.history, build_settings(config))
        self.checkpoint = BestCheckpoint(folder / "checkpoints", monitor=MONITOR)
        # Lightning's save_last writes only when the best checkpoint is written as well.
        self._last = ModelCheckpoint(
            folder / "checkpoints",
            filename="last",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self.grad_cam = GradCam(**{k: v for k, v in settings.grad_cam.items() if k != "enabled"})
        self._rest: list[pl.Callback] = [
            TensorBoardTabs(
                hyperparameters=hyperparameters(config, overridden),
                overridden=overridden,
                data_report=data_report(datamodule.pictures, datamodule.listing, datamodule.split),
                graph=config.logger.graph,
            )
        ]
        if config.logger.name != "none":
            self._rest.append(LearningRateMonitor(logging_interval="step"))
        if settings.grad_cam.enabled:
            self._rest.append(self.grad_cam)
        if settings.ema.enabled:
            # After Grad-CAM: it takes the averaged weights back when a validation ends.
            self._rest.append(EMAWeightAveraging(decay=settings.ema.decay))
        if settings.early_stopping.enabled:
            self._rest.append(EarlyStopping(MONITOR, patience=settings.early_stopping.patience))
        if settings.progress.enabled:
            self._rest.append(RichProgressBar())

    def all(self) -> list[pl.Callback]:
        """In the order in which they are called."""
        return [*self._rest, self.history, self.doctor, self.checkpoint, self._last]


def native_precision() -> str:
    """``bf16-mixed`` where the hardware computes bfloat16 natively, else ``32-true``."""
    if torch.cuda.is_available():
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
        )
    if torch.backends.mps.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"


def check_epochs(config: DictConfig) -> None:
    """Check that at least one epoch is trained and validated.

    Raises:
        FishError: it is not; the message names the setting.
    """
    epochs, every = config.trainer.max_epochs, config.trainer.check_val_every_n_epoch
    if epochs < 1:
        raise FishError(f"trainer.max_epochs={epochs}: wanted 1 or more")
    if not 1 <= every <= epochs:
        raise FishError(
            f"trainer.check_val_every_n_epoch={every}: wanted 1 to trainer.max_epochs={epochs}, "
            "or nothing would be validated"
        )


def build_trainer(config: DictConfig, callbacks: list[pl.Callback], folder: Path) -> pl.Trainer:
    """Build the trainer of the ``trainer`` and ``logger`` groups."""
    arguments = plain(config.trainer)
    if arguments["precision"] == "auto":
        on_cpu = arguments["accelerator"] == "cpu" and torch.cuda.is_available()
        arguments["precision"] = "32-true" if on_cpu else native_precision()
    # In the run folder itself, so that TensorBoard calls the jobs of a sweep 0, 1, 2, ...
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    has_bar = any(isinstance(callback, RichProgressBar) for callback in callbacks)
    return pl.Trainer(
        **arguments,
        logger=logger if config.logger.name == "tensorboard" else False,
        callbacks=callbacks,
        enable_progress_bar=has_bar,
        enable_model_summary=False,
        # Errors show in the first epoch just as well, and its numbers would be in the curves.
        num_sanity_val_steps=0,
        # Epochs are what is logged here; History keeps every iteration.
        log_every_n_steps=1,
    )
