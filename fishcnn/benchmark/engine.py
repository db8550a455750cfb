"""This project, as a user trains with it: all defaults, but no maps, no logs and no checkpoints."""

import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Checkpoint

from fishcnn.benchmark.turns import Turns
from fishcnn.commands.build import (
    build_classifier,
    build_datamodule,
    compose_config,
    prepare_images,
)
from fishcnn.commands.train.build_trainer import Callbacks, build_trainer
from fishcnn.commands.train.fit import quiet_lightning
from fishcnn.data.streaming.packed_images import MANIFEST
from fishcnn.data.streaming.packing import pack_images
from fishcnn.training.callbacks.history import History
from fishcnn.training.checkpoint_writer import CheckpointWriter
from fishcnn.utils.files import write_text
from fishcnn.utils.run_folder import RunFolder

_ENDLESS = 1_000_000


class _TakeTurns(pl.Callback):
    """Waits between epochs while others train; after History, which has measured the epoch."""

    def __init__(self, turns: Turns, history: History, began: float) -> None:
        self._turns = turns
        self._history = history
        self._began = began

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the epoch; the first includes all that came before its first step."""
        epoch, history = self._history.epochs[-1], self._history
        images = trainer.datamodule.batch_size * trainer.num_training_batches  # type: ignore
        seconds = images / epoch["train_images_per_second"]
        waited = epoch["data_wait"] * seconds
        if len(history.epochs) == 1:
            before = (history.first_step or self._began) - self._began
            seconds, waited = seconds + before, waited + before
        self._turns.add(images, waited=waited, seconds=seconds)
        trainer.should_stop = not self._turns.more()


def _packed(config: DictConfig, folder: Path) -> Path:
    """Pack the images of a configuration, as ``scripts/pack_data.py`` does."""
    datamodule = build_datamodule(config)
    prepare_images(datamodule)
    folder.mkdir()
    parts = datamodule.images, datamodule.splitting, datamodule.split_settings
    manifest = pack_images(*parts, folder, shard_bytes=64_000_000)
    write_text(folder / MANIFEST, manifest.text())
    return folder


def train(settings: dict[str, Any], turns: Turns) -> None:
    """Train on ``train/`` in a folder, from an empty cache below the folder it works in."""
    # The benchmark kills its contenders: what they cannot remove goes with the folder of theirs.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        if not turns.more():
            return
        began = time.perf_counter()
        quiet_lightning()
        size = f"data.image_size={settings['image_size']}"
        data = ["data=folder", f"data.root={settings['root']}", size]
        cache = f"data.cache_root={scratch}/cache"
        if settings["stream"]:
            packed = _packed(compose_config(*data, cache), Path(scratch) / "packed")
            data = ["data=stream", f"data.root={packed}", size]
        config = compose_config(
            "experiment=seed",
            *data,
            cache,
            f"data.batch_size={settings['batch']}",
            f"model.blocks={settings['blocks']}",
            f"trainer.max_epochs={_ENDLESS}",
            "callbacks.grad_cam.enabled=false",
            "callbacks.train_batch.enabled=false",
            "logger=none",
        )
        datamodule = build_datamodule(config)
        prepare_images(datamodule)
        classifier = build_classifier(config, datamodule)
        run = RunFolder(Path(scratch))
        callbacks = Callbacks(config, "", run, None)
        kept = [one for one in callbacks.all if not isinstance(one, Checkpoint)]
        kept.append(_TakeTurns(turns, callbacks.history, began))
        trainer = build_trainer(config, kept, run.path, CheckpointWriter())
        trainer.fit(classifier, datamodule)
