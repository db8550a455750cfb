"""This project, as a user trains with it: all defaults, but no maps, no logs and no checkpoints."""

import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
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
from fishcnn.training.callbacks.history import History
from fishcnn.training.checkpoint_writer import CheckpointWriter
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


def train(settings: dict[str, Any], turns: Turns) -> None:
    """Train on ``train/`` in a folder, from an empty cache below the folder it works in."""
    # The benchmark kills its contenders: what they cannot remove goes with the folder of theirs.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        if not turns.more():
            return
        began = time.perf_counter()
        quiet_lightning()
        config = compose_config(
            "experiment=seed",
            "data=folder",
            f"data.root={settings['root']}",
            f"data.cache_root={scratch}/cache",
            f"data.image_size={settings['image_size']}",
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
