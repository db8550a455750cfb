"""The early end of a trial."""

from pathlib import Path

import pytest
from fitting import small_trainer
from networks import small_classifier

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.history import History
from fishcnn.training.callbacks.pruning import Pruning
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def fit(datamodule: FishDataModule, folder: Path, *, ends_at: int, resumed: Path | None = None):  # noqa: ANN201
    reported: list[int] = []

    def report(epoch: int, loss: float) -> bool:
        assert loss > 0
        reported.append(epoch)
        return epoch == ends_at

    history = History(RunFolder(folder))
    trainer = small_trainer(folder, history, Pruning(history, report), max_epochs=3, logger=False)
    classifier = small_classifier(datamodule.classes)
    trainer.fit(classifier, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    return reported, trainer


def test_a_fit_ends_with_the_epoch_that_is_not_good_enough(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    reported, trainer = fit(datamodule, tmp_path, ends_at=2)
    assert reported == [1, 2]
    assert trainer.current_epoch == 2


def test_the_last_epoch_is_reported_and_nothing_is_cut_short(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    reported, trainer = fit(datamodule, tmp_path, ends_at=3)
    assert reported == [1, 2, 3]
    assert not trainer.should_stop


def test_a_fit_that_goes_on_reports_the_epochs_before_as_well(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    _, trainer = fit(datamodule, tmp_path, ends_at=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    reported, _ = fit(datamodule, tmp_path, ends_at=0, resumed=tmp_path / "one.ckpt")
    assert reported == [1, 2, 3]
