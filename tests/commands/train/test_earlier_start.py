import json
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from fishcnn.commands.train.earlier_start import find_resumed, is_finished
from fishcnn.utils.run_folder import RunFolder


@pytest.mark.parametrize("finishing", [True, False])
def test_further_processes_go_on_from_what_the_first_one_has_found(
    trained: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finishing: bool
) -> None:
    found = json.dumps([str(trained.best_checkpoint), finishing])
    monkeypatch.setenv("FISHCNN_RESUMED", found)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    # By the settings it would be another one.
    resumed, ends = find_resumed(OmegaConf.create({"ckpt_path": "last"}), RunFolder(tmp_path))
    assert resumed is not None
    assert (resumed.path, ends) == (trained.best_checkpoint.resolve(), finishing)


@pytest.mark.parametrize("later", ["best.ckpt", "last.ckpt"])
def test_a_run_goes_on_from_the_later_one_of_its_checkpoints(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    monkeypatch.delenv("FISHCNN_RESUMED", raising=False)
    trained.summary.unlink()
    for file in (trained.best_checkpoint, trained.last_checkpoint):
        epoch = 5 if file.name == later else 3
        content = torch.load(trained.last_checkpoint, weights_only=True)
        torch.save({**content, "epoch": epoch}, file)
    settings = OmegaConf.load(trained.config)
    settings.trainer.max_epochs = 9
    settings.ckpt_path = str(trained.path)
    assert isinstance(settings, DictConfig)
    resumed, finishing = find_resumed(settings, RunFolder(trained.path.with_name("on")))
    assert resumed is not None
    assert (resumed.path.name, resumed.epochs, finishing) == (later, 6, False)


@pytest.mark.parametrize(
    ("summary", "finished"),
    [
        ({"epochs": 4, "val_loss": None}, True),
        ({"epochs": 3, "val_loss": 1.0}, False),
        ({"epochs": 4}, False),
        ({"epochs": 4, "val_loss": "low"}, False),
        ({"epochs": None, "val_loss": 1.0}, False),
        ({"epochs": "5", "val_loss": 1.0}, False),
        ({"epochs": [1], "val_loss": 1.0}, False),
        ({"epochs": True, "val_loss": 1.0}, False),
        ({}, False),
        ([1], False),
    ],
)
def test_a_run_is_finished_when_its_summary_says_so(
    trained: RunFolder, summary: object, finished: bool
) -> None:
    trained.summary.write_text(json.dumps(summary))
    assert is_finished(trained, 4) == finished
