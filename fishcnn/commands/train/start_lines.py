"""What a person is told before the first epoch, in five lines."""

import os
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.settings import CONF, plain
from fishcnn.commands.terminal import Terminal, print_raw
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.inspection.in_short import findings_in_short, images_in_short
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import typed
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import counted, for_shells

# Near-duplicates and leaks depend on these settings of the data.
_COUNTED_BY = (
    "layout",
    "labels",
    "image_size",
    "working_size",
    *(f.name for f in fields(SplitSettings)),
)

_SHORTEST_PATH = 12  # with its "..."


def print_start(
    datamodule: FishDataModule,
    classifier: FishClassifier,
    trainer: pl.Trainer,
    run: RunFolder,
    logdir: Path | None,
) -> None:
    """Print what is trained on, what was found in it, the network, the device and the run folder.

    The command that shows ``logdir`` in TensorBoard comes along where it fits; None without logs.
    """
    console = Terminal()
    images, splitting = datamodule.images, datamodule.splitting
    folder, counts = datamodule.place, images_in_short(images, splitting)
    settings = datamodule.split_settings
    if settings.folds is not None:
        counts += f"; fold {settings.fold} of {settings.folds}, numbered from 0, is validated on"
    room = max(console.width - len(f"data     : {counts}"), _SHORTEST_PATH)
    if console.is_terminal and len(folder) > room:
        folder = _shortened(folder, room)  # config.yaml has the whole of it
    where = f"run      {run.path}"
    if logdir:
        watch = f"{where}; to watch: tensorboard --logdir {for_shells([str(logdir)])}"
        where = watch if not console.is_terminal or len(watch) <= console.width else where
    lines = [
        f"data     {folder}: {counts}",
        f"found    {findings_in_short(images, splitting)}; "
        f"see {run.data_report.name} in the run folder",
        f"network  {_network(classifier)}",
        f"device   {_device(trainer)}, precision {trainer.precision}"
        f"{_batches(datamodule, trainer)}",
        where,
    ]
    for line in lines:
        text = " ".join(line.splitlines())  # a path may hold anything
        if console.is_terminal and line is not where:  # that is to be copied
            text = textwrap.fill(
                text,
                console.width,
                subsequent_indent=" " * 9,
                break_long_words=False,
                break_on_hyphens=False,
            )
        print_raw(console, [text])


def _shortened(folder: str, room: int) -> str:
    """The end of a path with "..." before it, cut at a separator if one is left."""
    kept = folder[3 - room :]
    return f"...{kept[max(kept.find(os.sep), 0) :]}"


def _network(classifier: FishClassifier) -> str:
    model = classifier.hparams["model"]
    name = model.get("architecture") or f"{model['name']} of {counted(model['blocks'], 'block')}"
    sizes = [(p.numel(), p.requires_grad) for p in classifier.network.parameters()]
    total, trained = (sum(n for n, learns in sizes if learns or every) for every in (True, False))
    share = "all" if trained == total else f"{trained:,}"
    side = classifier.image_size
    return f"{name}: {total:,} parameters, {share} trainable; sees {side} x {side} pixels"


def _device(trainer: pl.Trainer) -> str:
    device, count = trainer.strategy.root_device, trainer.world_size
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        threads = torch.get_num_threads()
        name = f"CPU, {counted(threads, 'thread')}"
    else:
        name = device.type.upper()
    return name if count == 1 else f"{count} x {name}"


def _batches(datamodule: FishDataModule, trainer: pl.Trainer) -> str:
    """How large they are where several processes share them."""
    size, count = datamodule.batch_size, trainer.world_size
    if count == 1:
        return ""
    return f"; batches of {size} on each of {count} processes, {size * count} in all"


def inspection_settings(config: DictConfig) -> list[str]:
    """What has to be typed beside ``data.root=`` for inspect_data to count as a training does.

    Args:
        config: of the training.
    """
    base = cast(DictConfig, OmegaConf.load(CONF / "data" / "base.yaml"))
    usual = {"layout": "auto", **plain(base)}
    chosen = plain(config.data)
    return [
        f"data.{name}={typed(chosen[name])}"
        for name in _COUNTED_BY
        if name in chosen and chosen[name] != usual[name]
    ]
