"""The trainer of a run, with its callbacks and its logger."""

import math
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import ModelParallelStrategy

from fishcnn.commands.settings import literal, plain
from fishcnn.commands.train.hyperparameters import hyperparameters
from fishcnn.commands.train.processes import launcher
from fishcnn.training.callbacks.averaged_weights import AveragedWeights
from fishcnn.training.callbacks.best_checkpoint import BestCheckpoint
from fishcnn.training.callbacks.doctor import Doctor
from fishcnn.training.callbacks.early_stopping import PatientEarlyStopping
from fishcnn.training.callbacks.epoch_lines import EpochLines
from fishcnn.training.callbacks.grad_cam import GradCam
from fishcnn.training.callbacks.history import History
from fishcnn.training.callbacks.last_checkpoint import LastCheckpoint
from fishcnn.training.callbacks.progress_bar import ProgressBar
from fishcnn.training.callbacks.pruning import Pruning, Report
from fishcnn.training.callbacks.resuming import Resuming
from fishcnn.training.callbacks.tensorboard_tabs import TensorBoardTabs
from fishcnn.training.callbacks.train_batch import TrainBatch
from fishcnn.training.checkpoint_writer import CheckpointWriter
from fishcnn.training.diagnosis import Settings
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder

Made = TypeVar("Made", bound=pl.Callback)
# Settings of the trainer group that are none of Lightning's Trainer.
NOT_LIGHTNINGS = {"compile", "scale_lr", "resume", "checkpoint_every_n_steps"}
# Arguments of Lightning's Trainer that build_trainer() chooses.
OWN_ARGUMENTS = {
    "logger",
    "callbacks",
    "plugins",
    "enable_progress_bar",
    "enable_model_summary",
    "enable_checkpointing",
    "fast_dev_run",
    "num_sanity_val_steps",
    "log_every_n_steps",
    "use_distributed_sampler",
}


def build_settings(config: DictConfig) -> Settings:
    """Collect what the diagnosis has to know of the configuration."""
    return Settings(
        model=config.model.get("architecture", config.model.name),
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
        pretrained=bool(config.model.get("pretrained") or config.model.get("weights")),
        rendered=config.data.name == "synthetic",
        optimizer=config.optimizer.name,
    )


class Callbacks:
    """The callbacks of a fit; some are asked for what they have found after it.

    Args:
        config: of the run.
        data_report: Markdown about the images.
        folder: of the run.
        resumed: the checkpoint that the run goes on from.
        pruning: of the search that the run is a trial of; None outside of any.
    """

    def __init__(
        self,
        config: DictConfig,
        data_report: str,
        folder: RunFolder,
        resumed: Path | None,
        pruning: Report | None = None,
    ) -> None:
        chosen = config.callbacks
        self.history = History(folder)
        self.doctor = Doctor(folder, self.history, build_settings(config))
        self.checkpoint = BestCheckpoint(folder, resumed=resumed)
        self.grad_cam = _if_enabled(GradCam, chosen.grad_cam)
        self.train_batch = _if_enabled(TrainBatch, chosen.train_batch)
        called = (
            self.grad_cam,
            # After Grad-CAM: it takes the averaged weights back when a validation ends.
            _if_enabled(AveragedWeights, chosen.ema),
            _if_enabled(PatientEarlyStopping, chosen.early_stopping),
            self.history,
            Pruning(self.history, pruning) if pruning else None,
            # After History: its seconds are not those of tracing the graph.
            TensorBoardTabs(
                hyperparameters=hyperparameters(config),
                data_report=data_report,
                # A part of a network cannot be traced.
                graph=config.logger.graph and config.trainer.strategy != "fsdp",
            )
            if config.logger.name != "none"
            else None,
            self.train_batch,
            _if_enabled(partial(EpochLines, self.history), chosen.progress),
            _if_enabled(ProgressBar, chosen.progress) if sys.stdout.isatty() else None,
            Resuming(self.history),
            self.doctor,
            self.checkpoint,
            LastCheckpoint(folder, every_n_steps=config.trainer.checkpoint_every_n_steps),
        )
        self.all: list[pl.Callback] = [callback for callback in called if callback]


def _if_enabled(kind: Callable[..., Made], settings: DictConfig) -> Made | None:
    """A callback that can be switched off."""
    arguments = plain(settings)
    return kind(**arguments) if arguments.pop("enabled") else None


def native_precision(accelerator: str) -> str:
    """``bf16-mixed`` where that accelerator computes bfloat16 natively, else ``32-true``.

    Args:
        accelerator: as Lightning calls it; ``"auto"`` is the best that is there.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        native = False
    else:
        native = torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if native else "32-true"


def check_compiler(trainer: DictConfig) -> None:
    """Check that there is what ``trainer.compile=true`` needs on a CPU.

    Raises:
        FishError: there is no C++ compiler.
    """
    on_gpu = trainer.accelerator != "cpu" and torch.cuda.is_available()
    if trainer.compile and not on_gpu and not any(map(shutil.which, ("g++", "c++", "clang++"))):
        raise FishError("trainer.compile=true needs a C++ compiler such as g++ on the CPU")


class _Logger(TensorBoardLogger):
    """TensorBoard, for settings as they are written in conf/."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        # OmegaConf writes ``hparams.yaml`` and would take ``${`` in a class apart.
        super().log_hyperparams(literal(dict(params)), *args, **kwargs)


def build_trainer(
    config: DictConfig, callbacks: list[pl.Callback], events: Path, writer: CheckpointWriter
) -> pl.Trainer:
    """Build the trainer of the ``trainer`` and ``logger`` groups.

    Args:
        config: of the run.
        callbacks: of the fit.
        events: the folder for TensorBoard.
        writer: of checkpoints.

    Raises:
        FishError: Lightning does not take one of the settings.
    """
    arguments = plain(config.trainer)
    for name in NOT_LIGHTNINGS:
        del arguments[name]
    if arguments["precision"] == "auto":
        arguments["precision"] = native_precision(arguments["accelerator"])
    # Not where the user stands: under SLURM, Lightning would go on from what it finds there.
    arguments.setdefault("default_root_dir", events)
    logger = _Logger(events, name="", version="", default_hp_metric=False)
    has_bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
    # Where we have started the others, whatever SLURM says of the rest.
    ours = [LightningEnvironment()] if launcher() is None and "LOCAL_RANK" in os.environ else []
    if arguments["strategy"] == "fsdp":
        # Lightning's strategy of this name wants a GPU; this one has torch's newer kind.
        arguments["strategy"] = ModelParallelStrategy(
            data_parallel_size=math.prod(count_processes(config)),
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
        )
    return _trainer(
        **arguments,
        # The batches are shared out where they are made.
        use_distributed_sampler=False,
        logger=logger if config.logger.name == "tensorboard" else False,
        callbacks=callbacks,
        plugins=[writer, *ours],
        enable_progress_bar=has_bar,
        # Without checkpoints nothing could be evaluated: no setting turns them off.
        enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in callbacks),
        fast_dev_run=False,
        # Errors show in the first epoch as well, and its numbers would be in the curves.
        num_sanity_val_steps=0,
        log_every_n_steps=0,  # the callbacks write their numbers themselves
    )


def count_processes(config: DictConfig) -> tuple[int, int]:
    """How many processes train on each machine, and on how many machines.

    Raises:
        FishError: Lightning does not take one of the settings.
    """
    settings = plain(config.trainer)
    chosen = {name: settings[name] for name in ("accelerator", "devices", "num_nodes")}
    trainer = _trainer(
        **chosen, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    return trainer.num_devices, trainer.num_nodes


def _trainer(**arguments: Any) -> pl.Trainer:
    try:
        return pl.Trainer(**arguments, enable_model_summary=False)
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise FishError(f"trainer: {error}") from error
