"""The temperature in a checkpoint file."""

import os
from pathlib import Path

import pytest
import torch

from fishcnn.commands.evaluate.temperature import store_temperature
from fishcnn.utils.errors import FishError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    file = tmp_path / "best.ckpt"
    state = {"temperature": torch.tensor(1.0), "network.weight": torch.arange(3.0)}
    torch.save({"state_dict": state, "epoch": 4, "optimizer_states": [{"lr": 0.1}]}, file)
    os.utime(file, (1000, 2000))
    return file


def test_only_the_temperature_changes(checkpoint: Path) -> None:
    store_temperature(checkpoint, 1.75)
    content = torch.load(checkpoint, weights_only=True)
    assert content["state_dict"]["temperature"].item() == 1.75
    assert content["state_dict"]["temperature"].dtype == torch.float32
    assert torch.equal(content["state_dict"]["network.weight"], torch.arange(3.0))
    assert (content["epoch"], content["optimizer_states"]) == (4, [{"lr": 0.1}])


def test_the_latest_run_stays_the_latest_and_nothing_is_left_behind(checkpoint: Path) -> None:
    store_temperature(checkpoint, 2.0)
    assert checkpoint.stat().st_mtime == 2000
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_a_checkpoint_is_whole_even_if_writing_fails(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    before = checkpoint.read_bytes()
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(FishError, match=r"calibrate=true: .*No space left"):
        store_temperature(checkpoint, 2.0)
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
