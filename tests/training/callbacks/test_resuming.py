from pathlib import Path

import pytest
import pytorch_lightning as pl
from fitting import small_trainer
from networks import small_classifier
from pytorch_lightning.callbacks import ModelCheckpoint
from scripted import ScriptedClassifier

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.history import History
from fishcnn.training.callbacks.resuming import Resuming
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    # The second part of a fit writes into the folder of the first.
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]


class Rates(pl.Callback):
    """The learning rate at the start of every epoch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def rates(
    datamodule: FishDataModule, folder: Path, epochs: int, resumed: Path | None = None
) -> list[float]:
    settings = dict(small_classifier(datamodule.classes).hparams)
    settings["optimizer"] = {"name": "sgd", "lr": 1.0}
    settings["scheduler"] = {"name": "plateau", "factor": 0.5, "patience": 1}
    classifier = ScriptedClassifier(**settings)
    classifier.losses = [0.5] * epochs
    run, watched = RunFolder(folder), Rates()
    history = History(run)
    last = ModelCheckpoint(run.checkpoints, "last", save_on_train_epoch_end=True)
    trainer = small_trainer(
        folder,
        watched,
        history,
        Resuming(history),
        last,
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=True,
    )
    trainer.fit(classifier, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    return watched.seen


@pytest.mark.parametrize("stopped", [2, 3, 4])
def test_the_plateau_schedule_goes_on_as_if_the_run_had_not_stopped(
    datamodule: FishDataModule, tmp_path: Path, stopped: int
) -> None:
    whole = rates(datamodule, tmp_path / "whole", 7)
    assert whole == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    parts = rates(datamodule, tmp_path / "parts", stopped)
    last = next((tmp_path / "parts" / "checkpoints").glob("last*.ckpt"))
    assert parts + rates(datamodule, tmp_path / "parts", 7, last) == whole
