"""What a person is shown at the end of a run."""

from pathlib import Path
from typing import Any

import pytest

from fishcnn.commands.build import compose_config
from fishcnn.commands.train.start_lines import _shortened, inspection_settings
from fishcnn.commands.train.summary import print_summary
from fishcnn.utils.run_folder import RunFolder


def summary_of(classes: int, accuracy: float, interval: tuple[float, float]) -> dict[str, Any]:
    return {
        "best_epoch": 1,
        "epochs": 2,
        "val_acc": accuracy,
        "val_acc_interval": interval,
        "last_val_acc": accuracy,
        "val_loss": 1.0,
        "val_f1": 0.2,
        "val_top3": 1.0,
        "seconds": 3.0,
        "seconds_to_first_step": 1.0,
        "train_images_per_second": 10.0,
        "checkpoint": "best.ckpt",
        "classes": [f"fish{k}" for k in range(classes)],
    }


def printed(summary: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    print_summary(summary, [], RunFolder(Path("run")), None)
    return " ".join(capsys.readouterr().out.split())


def test_an_accuracy_that_guessing_reaches_is_said_to_be_no_better(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(summary_of(4, 0.25, (0.11, 0.47)), capsys)
    assert "validation accuracy 25.0% (95% interval 11.0% to 47.0%; not clearly above " in text
    assert "guessing among 4 classes, 25.0%)" in text
    assert "guessing" not in printed(summary_of(4, 0.9, (0.7, 0.97)), capsys)


def test_the_share_among_three_is_not_shown_of_three_classes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "top-3" not in printed(summary_of(2, 0.9, (0.7, 0.97)), capsys)
    assert "top-3" not in printed(summary_of(3, 0.9, (0.7, 0.97)), capsys)
    assert "top-3" in printed(summary_of(4, 0.9, (0.7, 0.97)), capsys)


def test_a_path_is_shortened_at_a_separator() -> None:
    assert _shortened("/home/anna/my_photos/fish", 16) == ".../fish"
    assert _shortened("/home/anna/my_photos/fish", 20) == ".../my_photos/fish"
    assert _shortened("/home/averyverylongname", 12) == "...ylongname"


def test_an_inspection_is_typed_with_the_numbers_of_the_training() -> None:
    typed = ["data.folds=3", "data.fold=1", "data.group_duplicates=false"]
    assert inspection_settings(compose_config(*typed))[1:] == typed  # after data.image_size
