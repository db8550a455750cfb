import io
import re
from pathlib import Path

import pytest
from fitting import small_trainer
from networks import small_classifier

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.epoch_lines import EpochLines
from fishcnn.training.callbacks.history import History
from fishcnn.training.callbacks.progress_bar import ProgressBar
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def test_the_bar_counts_epochs_from_one(datamodule: FishDataModule, tmp_path: Path) -> None:
    screen = io.StringIO()
    bar = ProgressBar(console_kwargs={"file": screen, "force_terminal": True, "width": 120})
    trainer = small_trainer(tmp_path, bar, enable_progress_bar=True, logger=False)
    trainer.fit(small_classifier(datamodule.classes), datamodule=datamodule)
    assert list(dict.fromkeys(re.findall(r"Epoch \d+/\d+", screen.getvalue()))) == [
        "Epoch 1/2",
        "Epoch 2/2",
    ]


@pytest.mark.parametrize("width", [60, 80])
def test_at_a_terminal_the_lines_of_a_log_file_stay_above_the_bar(
    datamodule: FishDataModule, tmp_path: Path, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    history, screen = History(RunFolder(tmp_path)), io.StringIO()
    bar = ProgressBar(console_kwargs={"file": screen, "force_terminal": True, "width": width})
    trainer = small_trainer(
        tmp_path,
        *(history, EpochLines(history), bar),
        enable_progress_bar=True,
        logger=False,
        max_epochs=4,
        check_val_every_n_epoch=2,
    )
    trainer.fit(small_classifier(datamodule.classes), datamodule=datamodule)
    # What is between two movements of the cursor; colours are none.
    plain = re.sub(r"\x1b\[[\d;]*m", "", screen.getvalue())
    written = [line for line in re.split(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]", plain) if line.strip()]
    wide = [" ".join(line.split()) for line in written]
    at = [k for k, line in enumerate(wide) if line.startswith("epoch ")]
    assert [wide[k].split()[1] for k in at] == ["1/4", "2/4", "3/4", "4/4"]
    lines = [wide[k] + (f" {wide[k + 1]}" if wide[k + 1].startswith("val_") else "") for k in at]
    assert ["val_loss" in line for line in lines] == [False, True, False, True]
    assert f"val_acc {float(trainer.callback_metrics['val_acc']):.3f}" in " ".join(wide)
    assert all(len(line.rstrip()) <= width for line in written)


def test_a_log_file_gets_a_line_of_numbers_for_each_epoch(
    datamodule: FishDataModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = History(RunFolder(tmp_path))
    trainer = small_trainer(tmp_path, history, EpochLines(history), logger=False)
    trainer.fit(small_classifier(datamodule.classes), datamodule=datamodule)
    lines = capsys.readouterr().out.splitlines()
    number = r"\d\.\d{3}"
    pattern = rf"train_loss {number}  train_acc {number}  val_loss {number}  val_acc {number}"
    assert re.fullmatch(f"epoch 1/2  {pattern}", lines[0])
    assert re.fullmatch(f"epoch 2/2  {pattern}", lines[1])
    assert f"val_acc {float(trainer.callback_metrics['val_acc']):.3f}" in lines[1]


def test_on_a_narrow_terminal_the_line_of_an_epoch_is_shorter(
    datamodule: FishDataModule,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    history = History(RunFolder(tmp_path))
    trainer = small_trainer(tmp_path, history, EpochLines(history), logger=False, max_epochs=1)
    trainer.fit(small_classifier(datamodule.classes), datamodule=datamodule)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    number = r"\d\.\d{3}"
    assert re.fullmatch(f"epoch 1/1  loss {number} val {number}  acc {number} val {number}", line)
    assert len(line) < 60


def test_the_line_of_an_epoch_without_validation_has_no_numbers_of_an_earlier_one(
    datamodule: FishDataModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = History(RunFolder(tmp_path))
    trainer = small_trainer(
        tmp_path,
        history,
        EpochLines(history),
        logger=False,
        max_epochs=4,
        check_val_every_n_epoch=2,
    )
    trainer.fit(small_classifier(datamodule.classes), datamodule=datamodule)
    lines = capsys.readouterr().out.splitlines()
    assert ["val_loss" in line for line in lines] == [False, True, False, True]
    assert all("train_loss" in line for line in lines)
