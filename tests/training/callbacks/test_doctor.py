from pathlib import Path

import pytest
import torch
from fitting import SETTINGS, small_trainer
from networks import small_classifier
from scripted import ScriptedClassifier

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.best_checkpoint import BestCheckpoint
from fishcnn.training.callbacks.doctor import Doctor
from fishcnn.training.callbacks.history import History
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    # Lightning would forget the best checkpoint of another folder; this callback does not.
    pytest.mark.filterwarnings("ignore:.*dirpath has changed"),
]


class Guessing(ScriptedClassifier):
    """Three of nine images are right in each validation."""

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("val_acc", torch.tensor(1 / 3))
        self.confusion = torch.ones(3, 3, dtype=torch.int64)


def told(
    datamodule: FishDataModule, folder: Path, losses: list[float], resumed: Path | None = None
) -> list[str]:
    """Train for as many epochs as there are losses; return what is said of the checkpoint."""
    classifier = Guessing(**dict(small_classifier(datamodule.classes).hparams))
    classifier.losses = losses
    run = RunFolder(folder)
    history = History(run)
    doctor = Doctor(run, history, SETTINGS)
    callbacks = [history, doctor, BestCheckpoint(run, resumed=resumed)]
    trainer = small_trainer(
        folder, *callbacks, max_epochs=len(losses), logger=False, enable_checkpointing=True
    )
    trainer.fit(classifier, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    trainer.save_checkpoint(run.last_checkpoint)
    return [verdict.why for verdict in doctor.verdicts if verdict.name == "checkpoint"]


@pytest.mark.parametrize("losses", [[0.5], [0.5, 0.9, 0.7], [0.9, 0.5, 0.7], [0.9, 0.7, 0.5]])
def test_the_epoch_that_is_kept_is_the_one_that_is_judged(
    datamodule: FishDataModule, tmp_path: Path, losses: list[float]
) -> None:
    (why,) = told(datamodule, tmp_path, losses)
    assert f"is that of epoch {losses.index(0.5) + 1}, " in why
    assert "on 9 images not distinguishable from guessing" in why


@pytest.mark.parametrize(("alone", "kept"), [(False, 1), (True, 4)])
def test_a_run_that_goes_on_is_judged_by_the_checkpoint_that_it_has(
    datamodule: FishDataModule, tmp_path: Path, alone: bool, kept: int
) -> None:
    told(datamodule, tmp_path / "first", [0.5, 0.7])
    first = RunFolder(tmp_path / "first")
    if alone:  # as where somebody has handed on the last checkpoint only
        first.best_checkpoint.unlink()
    losses = [0.5, 0.7, 0.9, 0.8]
    (why,) = told(datamodule, tmp_path / "second", losses, resumed=first.last_checkpoint)
    assert f"is that of epoch {kept}, " in why
