"""The settings of a training, all of them checked before its data is read."""

from collections.abc import Sequence
from inspect import signature

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from fishcnn.cam.layers import find_layer
from fishcnn.commands.build import build_datamodule, check_classifier, check_compiler
from fishcnn.commands.settings import as_settings, check_settings
from fishcnn.training.callbacks.grad_cam import GRAD_CAM_SETTINGS
from fishcnn.utils.checks import Check, choice, either, flag, number, optional, several, text, whole
from fishcnn.utils.errors import FishError, typed
from fishcnn.utils.machine import usable_cpus

# What the constructors of the library do not check: they check the groups data, augment, model,
# optimizer and scheduler.
_WANTED = {
    "seed": whole(0, 2**32 - 1),
    "runs": text,
    "ckpt_path": optional(text),
    "find_lr": flag,
    "loss.label_smoothing": number(0, 1),
    "callbacks.early_stopping.enabled": flag,
    "callbacks.early_stopping.patience": whole(1),
    "callbacks.early_stopping.start_epoch": whole(1),
    "callbacks.grad_cam.enabled": flag,
    **{f"callbacks.grad_cam.{name}": check for name, check in GRAD_CAM_SETTINGS.items()},
    "callbacks.ema.enabled": flag,
    "callbacks.ema.decay": number(0, 1),
    "callbacks.progress.enabled": flag,
    "logger.name": choice("tensorboard", "none"),
    "logger.graph": flag,
    "trainer.accelerator": choice("auto", "cpu", "gpu", "cuda", "mps"),
    "trainer.gradient_clip_val": optional(number(0, above=True)),
    "trainer.max_epochs": whole(1),
    "trainer.check_val_every_n_epoch": whole(1),
    "trainer.compile": flag,
    # Weights of half precision would need images of half precision everywhere.
    "trainer.precision": choice("auto", "32-true", "bf16-mixed", "16-mixed"),
}


def check_train(config: DictConfig) -> None:
    """Check the settings of a training before its data is read.

    Raises:
        FishError: a setting is out of range; the message names it and its range.
    """
    check_settings(config, _WANTED)
    taken = signature(pl.Trainer).parameters.keys() | {"compile"}
    if others := [name for name in config.trainer if name not in taken]:
        raise FishError(f"trainer.{others[0]}: Lightning's Trainer has no such setting")
    if config.find_lr and config.ckpt_path:
        raise FishError("find_lr=true looks for a rate to begin with: leave out ckpt_path")
    _check_devices(config)
    epochs, every = config.trainer.max_epochs, config.trainer.check_val_every_n_epoch
    if every > epochs:
        raise FishError(
            f"trainer.check_val_every_n_epoch={every} is more than trainer.max_epochs={epochs}: "
            "nothing would be validated"
        )
    build_datamodule(config)
    network = check_classifier(config)
    layer = config.callbacks.grad_cam.layer
    if layer is not None and network is not None:
        with as_settings(layer="callbacks.grad_cam.layer"):
            find_layer(network, layer)
    check_compiler(config.trainer)


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
