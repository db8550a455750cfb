import json

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.train.earlier_start import find_resumed, is_finished
from fishcnn.utils.run_folder import RunFolder


@pytest.mark.parametrize("later", ["best.ckpt", "last.ckpt"])
def test_a_run_goes_on_from_the_later_one_of_its_checkpoints(
    trained: RunFolder, later: str
) -> None:
    trained.summary.unlink()
    for file in (trained.best_checkpoint, trained.last_checkpoint):
        epoch = 5 if file.name == later else 3
        content = torch.load(trained.last_checkpoint, weights_only=True)
        content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] = epoch + 1
        torch.save({**content, "epoch": epoch, "global_step": 10 * epoch}, file)
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
