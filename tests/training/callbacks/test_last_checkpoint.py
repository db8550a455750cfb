from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from fitting import small_trainer
from networks import small_classifier

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.last_checkpoint import LastCheckpoint
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


class Watch(pl.Callback):
    """Notes the epoch, from 1, of the checkpoint that there is when the next one begins."""

    def __init__(self, run: RunFolder, stop_after: int) -> None:
        self.run = run
        self.stop_after = stop_after
        self.kept: list[int] = []

    def note(self) -> None:
        self.kept.append(torch.load(self.run.last_checkpoint, weights_only=True)["epoch"] + 1)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch:
            self.note()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 == self.stop_after

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.note()


@pytest.mark.parametrize(
    ("limits", "stop_after", "kept"),
    [
        ({}, 9, [1, 2, 3, 4]),
        ({"large": 0}, 9, [1, 1, 1, 4]),
        ({"large": 0, "seconds": 0}, 9, [1, 2, 3, 4]),
        ({"large": 0}, 3, [1, 1, 3]),
    ],
)
def test_only_a_large_checkpoint_is_not_written_after_every_epoch(
    datamodule: FishDataModule,
    tmp_path: Path,
    limits: dict[str, int],
    stop_after: int,
    kept: list[int],
) -> None:
    run = RunFolder(tmp_path)
    watch = Watch(run, stop_after)
    limits = {"seconds": 3600, **limits}
    trainer = small_trainer(
        tmp_path,
        watch,
        LastCheckpoint(run, **limits),
        max_epochs=4,
        logger=False,
        enable_checkpointing=True,
    )
    trainer.fit(small_classifier(datamodule.classes), datamodule=datamodule)
    assert watch.kept == kept
