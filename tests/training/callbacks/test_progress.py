from types import SimpleNamespace

import pytest

from fishcnn.training.callbacks.progress import ProgressBar


def test_epochs_are_counted_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = ProgressBar()
    monkeypatch.setattr(ProgressBar, "trainer", SimpleNamespace(max_epochs=30))
    assert bar._get_train_description(0) == "Epoch 1/30"
    assert bar._get_train_description(29) == "Epoch 30/30"
