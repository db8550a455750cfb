"""The settings of a training, all of them checked before its data is read."""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from fishcnn.cam.layers import find_layer
from fishcnn.commands.build import build_datamodule, check_classifier
from fishcnn.commands.settings import as_settings, check_settings
from fishcnn.commands.train.build_trainer import (
    NOT_LIGHTNINGS,
    OWN_ARGUMENTS,
    build_trainer,
    check_compiler,
    count_processes,
)
from fishcnn.commands.train.processes import check_processes
from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.grad_cam import GRAD_CAM_SETTINGS
from fishcnn.training.callbacks.train_batch import TRAIN_BATCH_SETTINGS
from fishcnn.training.checkpoint_writer import CheckpointWriter
from fishcnn.training.probe.probe import probed_head
from fishcnn.utils.checks import Check, choice, either, flag, number, optional, several, text, whole
from fishcnn.utils.errors import FishError, typed
from fishcnn.utils.machine import usable_cpus

# What the constructors of the library do not check: they check the groups data, augment, model,
# optimizer and scheduler.
_WANTED = {
    "seed": whole(0, 2**32 - 1),
    "find_lr": flag,
    "probe": flag,
    "loss.label_smoothing": number(0, 1),
    "callbacks.early_stopping.enabled": flag,
    "callbacks.early_stopping.patience": whole(1),
    "callbacks.early_stopping.start_epoch": whole(1),
    "callbacks.grad_cam.enabled": flag,
    **{f"callbacks.grad_cam.{name}": check for name, check in GRAD_CAM_SETTINGS.items()},
    "callbacks.train_batch.enabled": flag,
    **{f"callbacks.train_batch.{name}": check for name, check in TRAIN_BATCH_SETTINGS.items()},
    "callbacks.ema.enabled": flag,
    "callbacks.ema.decay": number(0, 1),
    "callbacks.progress.enabled": flag,
    "logger.name": choice("tensorboard", "none"),
    "logger.graph": flag,
    "trainer.accelerator": choice("auto", "cpu", "gpu", "cuda", "mps"),
    "trainer.gradient_clip_val": optional(number(0, above=True)),
    "trainer.num_nodes": whole(1),
    "trainer.strategy": choice("auto", "ddp", "fsdp"),
    "trainer.sync_batchnorm": flag,
    "trainer.scale_lr": flag,
    "trainer.max_epochs": whole(1),
    "trainer.check_val_every_n_epoch": whole(1),
    "trainer.compile": flag,
    "trainer.deterministic": either(flag, choice("warn")),
    "trainer.resume": choice("auto", "never"),
    "trainer.checkpoint_every_n_steps": optional(whole(1)),
    # Weights of half precision would need images of half precision everywhere.
    "trainer.precision": choice("auto", "32-true", "bf16-mixed", "16-mixed"),
}


def check_train(config: DictConfig) -> FishDataModule:
    """Check the settings of a training before its data is read.

    Returns:
        The datamodule, which was built for that.

    Raises:
        FishError: a setting is out of range; the message names it and its range.
    """
    check_settings(config, _WANTED)
    _check_added(config)
    if config.find_lr and config.ckpt_path:
        raise FishError("find_lr=true looks for a rate to begin with: leave out ckpt_path")
    _check_devices(config)
    epochs, every = config.trainer.max_epochs, config.trainer.check_val_every_n_epoch
    if every > epochs:
        raise FishError(
            f"trainer.check_val_every_n_epoch={every} is more than trainer.max_epochs={epochs}: "
            "nothing would be validated"
        )
    if config.probe and not config.optimizer.lr and epochs > 1:
        raise FishError(
            f"trainer.max_epochs={epochs}: a probe alone is done before the first epoch, which "
            "only measures it; leave this out, or choose experiment=finetune to train further"
        )
    datamodule = build_datamodule(config)
    network = check_classifier(config)
    layer = config.callbacks.grad_cam.layer
    if layer is not None and network is not None:
        with as_settings(layer="callbacks.grad_cam.layer"):
            find_layer(network, layer)
    if config.probe and network is not None:
        with as_settings():
            probed_head(network)
    check_compiler(config.trainer)
    _check_processes(config)
    # Lightning's own checks; nothing is written, and it takes some 20 ms.
    build_trainer(config, [], Path(), CheckpointWriter())
    return datamodule


def _check_added(config: DictConfig) -> None:
    """Check arguments of Lightning's Trainer that are not in ``conf/``, by their annotations."""
    parameters = signature(pl.Trainer).parameters
    for name in config.trainer.keys() - NOT_LIGHTNINGS:
        if name not in parameters:
            raise FishError(f"trainer.{name}: Lightning's Trainer has no such setting")
        if name in OWN_ARGUMENTS:
            raise FishError(f"trainer.{name}: is chosen by this project; leave it out")
        default, annotation = parameters[name].default, parameters[name].annotation
        # Of those that have a default at all it is the lowest value as well.
        low = default if type(default) in (int, float) else 0
        union = get_origin(annotation) in (Union, UnionType)
        kinds = get_args(annotation) if union else (annotation,)
        checks = [check for kind in kinds if (check := _check_of(kind, low))]
        if checks and f"trainer.{name}" not in _WANTED:
            check_settings(config, {f"trainer.{name}": either(*checks)})


def _check_of(kind: Any, low: float) -> Check | None:  # noqa: ANN401
    """The check of one kind of value; None where Lightning has to check, or no text can be one."""
    if get_origin(kind) is Literal:
        return choice(*get_args(kind))
    if get_origin(kind) in (list, dict):
        return lambda value: None if isinstance(value, get_origin(kind)) else "is of another kind"
    known: dict[Any, Check] = {
        bool: flag,
        int: whole(int(low)),
        float: number(low),
        str: text,
        NoneType: choice(None),
    }
    return known.get(kind)


def _check_devices(config: DictConfig) -> None:
    """Check that the devices of a fit are there."""
    kind = config.trainer.accelerator
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    missing = {"cuda": not cuda, "mps": not mps, "gpu": not (cuda or mps)}
    if missing.get(kind):
        raise FishError(f"trainer.accelerator={kind}: this machine has none; choose auto or cpu")
    if cuda and kind not in ("cpu", "mps"):
        wanted = gpus(torch.cuda.device_count())
    elif mps and kind != "cpu":
        wanted = either(choice(1), choice("auto"))
    else:
        # One process each; more than processors would only wait for each other.
        wanted = either(whole(1, max(2, usable_cpus())), choice("auto"))
    check_settings(config, {"trainer.devices": wanted})


def _check_processes(config: DictConfig) -> None:
    """Check what has to do with several processes."""
    trainer = config.trainer
    devices, nodes = count_processes(config)
    check_processes(devices, nodes)
    count = devices * nodes
    if config.find_lr and count > 1:
        raise FishError("find_lr=true is for one process: choose trainer.devices=1")
    if trainer.sync_batchnorm and (trainer.strategy == "fsdp" or not _on_gpus(config)):
        raise FishError("trainer.sync_batchnorm=true: needs GPUs and trainer.strategy=ddp")
    if trainer.strategy != "fsdp":
        return
    if count == 1:
        raise FishError("trainer.strategy=fsdp: needs two processes or more: add trainer.devices=2")
    for setting in ("callbacks.ema.enabled", "trainer.compile"):
        if OmegaConf.select(config, setting):
            raise FishError(
                f"trainer.strategy=fsdp: needs {setting}=false; choose trainer.strategy=ddp, in "
                "which each process has the whole network"
            )
    if trainer.precision == "16-mixed":
        raise FishError("trainer.strategy=fsdp: needs trainer.precision=bf16-mixed or 32-true")


def _on_gpus(config: DictConfig) -> bool:
    return config.trainer.accelerator not in ("cpu", "mps") and torch.cuda.is_available()


def gpus(count: int) -> Check:
    """As Lightning takes them: how many, or which ones."""
    number_of = either(whole(1, count), choice("auto"), choice(-1), choice("-1"))
    which = several(whole(0, count - 1))

    def check(value: object) -> str | None:
        if isinstance(value, str) and "," in value:  # such as "0,1"
            parts = value.split(",")
            value = [int(part) if part.strip().isdigit() else part for part in parts if part]
        if isinstance(value, Sequence) and not isinstance(value, str):
            twice = len({typed(one) for one in value}) < len(value)
            return "names a device twice" if twice else which(value)
        return number_of(value)

    return check
