from pathlib import Path

import pytest
import torch
from conftest import Command
from running import network_of

from fishcnn.commands.run_files import read_config
from fishcnn.commands.train.disk_space import checkpoint_bytes
from fishcnn.utils.run_folder import RunFolder


@pytest.mark.parametrize("change", ["", "optimizer=sgd", "callbacks.ema.enabled=false"])
def test_the_size_of_a_checkpoint_is_known_before_it_is_written(
    train: Command, tiny: list[str], tmp_path: Path, change: str
) -> None:
    more = ["model.hidden=512", "model.blocks=3", "model.head=flatten", "trainer.max_epochs=1"]
    fast = ["logger=none", "callbacks.grad_cam.enabled=false", "hydra.run.dir=run"]
    changes = [change] if change else []
    assert train(*tiny, *more, *fast, *changes).status == 0
    run = RunFolder(tmp_path / "run")
    for file in (run.best_checkpoint, run.last_checkpoint):
        size = file.stat().st_size
        assert 0.9 * size < checkpoint_bytes(network_of(run), read_config(run)) < size
    assert torch.load(run.last_checkpoint, weights_only=True)["epoch"] == 0


def test_a_disk_that_is_too_full_is_told_before_images_are_read(
    train: Command, tiny: list[str], small_disk: Path
) -> None:
    command = [*tiny, "data.cache=none", f"hydra.run.dir={small_disk / 'run'}"]
    finished = train(*command, "model.blocks=5")
    assert finished.status == 1
    for part in (f"the disk of {small_disk / 'run'} is too full", " MB wanted, 1.0 MB free"):
        assert part in finished.err
    assert "Reading" not in finished.out
    assert list(small_disk.iterdir()) == []
