import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from fishcnn.commands.train.earlier_start import find_resumed
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
