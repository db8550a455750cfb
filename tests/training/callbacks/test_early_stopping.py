from pathlib import Path

import pytest
from fitting import small_trainer
from networks import small_classifier
from scripted import ScriptedClassifier

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.early_stopping import PatientEarlyStopping

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def epochs(
    datamodule: FishDataModule,
    folder: Path,
    losses: list[float],
    resumed: Path | None = None,
    **settings: int,
) -> int:
    """For how many epochs a fit goes on; it leaves a checkpoint."""
    classifier = ScriptedClassifier(**dict(small_classifier(datamodule.classes).hparams))
    classifier.losses = losses
    trainer = small_trainer(
        folder, PatientEarlyStopping(**settings), max_epochs=len(losses), logger=False
    )
    trainer.fit(classifier, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    trainer.save_checkpoint(folder / "end.ckpt")
    return trainer.global_step // 3


@pytest.mark.parametrize(
    ("start_epoch", "patience", "expected"),
    [
        # The first epoch that counts is the best so far; `patience` more show no lower loss.
        (1, 1, 2),
        (1, 3, 4),
        (4, 1, 5),
        (4, 2, 6),
        (9, 1, 9),
    ],
)
def test_the_first_epoch_that_counts_is_start_epoch(
    datamodule: FishDataModule, tmp_path: Path, start_epoch: int, patience: int, expected: int
) -> None:
    settings = {"start_epoch": start_epoch, "patience": patience}
    assert epochs(datamodule, tmp_path, [0.5] * 9, **settings) == expected


@pytest.mark.parametrize("losses", [[0.5] * 6, [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]])
def test_a_fit_that_is_ended_says_so(
    datamodule: FishDataModule,
    tmp_path: Path,
    losses: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "fishcnn")
    reached = epochs(datamodule, tmp_path, losses, start_epoch=1, patience=2)
    told = [line for line in caplog.messages if line.startswith("Stopped early")]
    assert len(told) == (reached < 6)
    assert all(line.startswith("Stopped early, after epoch 3 of 6: ") for line in told)


def test_a_low_loss_before_start_epoch_is_no_measure(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    losses = [0.1, 0.9, 0.8, 0.7, 0.6, 0.6, 0.6, 0.6]
    assert epochs(datamodule, tmp_path, losses, start_epoch=2, patience=2) == 7


def test_a_continued_run_waits_anew_and_remembers_its_best(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    settings = {"start_epoch": 1, "patience": 2}
    assert epochs(datamodule, tmp_path, [0.5] * 9, **settings) == 3
    end = tmp_path / "end.ckpt"
    # 0.6 is no improvement on the 0.5 of the first part.
    assert epochs(datamodule, tmp_path, [0.6] * 9, resumed=end, **settings) == 5
