from pathlib import Path

import pytest
import torch
from fitting import small_trainer
from networks import small_classifier
from scripted import ScriptedClassifier

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.best_checkpoint import BestCheckpoint
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    # Lightning would forget the best checkpoint of another folder; this callback does not.
    pytest.mark.filterwarnings("ignore:.*dirpath has changed"),
    # A run may go on in its own folder.
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]


def fit(
    datamodule: FishDataModule, folder: Path, losses: list[float], resumed: Path | None = None
) -> int:
    """Train for as many epochs as there are losses; return the epoch, from 1, that is kept."""
    classifier = ScriptedClassifier(**dict(small_classifier(datamodule.classes).hparams))
    classifier.losses = losses
    run = RunFolder(folder)
    best = BestCheckpoint(run, resumed=resumed)
    trainer = small_trainer(
        folder, best, max_epochs=len(losses), logger=False, enable_checkpointing=True
    )
    trainer.fit(classifier, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    trainer.save_checkpoint(run.last_checkpoint)
    assert best.best_model_path == str(run.best_checkpoint)
    assert [file.name for file in run.checkpoints.iterdir()].count("best.ckpt") == 1
    return int(torch.load(run.best_checkpoint, weights_only=True)["epoch"]) + 1


@pytest.mark.parametrize("losses", [[0.5, 0.9, 0.7], [0.9, 0.5, 0.7], [0.9, 0.7, 0.5]])
def test_the_epoch_with_the_lowest_validation_loss_is_kept(
    datamodule: FishDataModule, tmp_path: Path, losses: list[float]
) -> None:
    assert fit(datamodule, tmp_path, losses) == losses.index(0.5) + 1


@pytest.mark.parametrize("place", ["first", "second"])
@pytest.mark.parametrize(("loss", "kept"), [(0.6, 1), (0.4, 3)])
def test_a_continued_run_remembers_the_best_epoch_of_its_first_part(
    datamodule: FishDataModule, tmp_path: Path, place: str, loss: float, kept: int
) -> None:
    assert fit(datamodule, tmp_path / "first", [0.5, 0.7]) == 1
    last = RunFolder(tmp_path / "first").last_checkpoint
    assert fit(datamodule, tmp_path / place, [0.5, 0.7, loss], resumed=last) == kept
