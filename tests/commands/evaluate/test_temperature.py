"""The temperature: fitted on validation images, judged on others, stored in a checkpoint."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fishcnn.commands.evaluate.temperature import Answers, calibrate, store_temperature
from fishcnn.utils.errors import FishError
from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import RunFolder


def overconfident(count: int) -> Answers:
    """Answers of two views, of which one in four is wrong and all are 98% sure."""
    labels = np.arange(count) % 2
    answers = np.where(np.arange(count) % 8 < 2, 1 - labels, labels)
    logits = 4 * np.eye(2)[answers]
    return Answers(np.stack([logits, logits]), labels)


def test_the_fit_is_only_used_where_it_is_to_be_stored() -> None:
    judged, validation = overconfident(40), overconfident(400)
    looked = calibrate(judged, validation, 1.0, store=False)
    assert looked.fitted == pytest.approx(4 / np.log(3), rel=1e-3)  # 3 of 4 are right
    assert (looked.temperature, looked.stored) == (1.0, False)
    before, after = looked.lines
    assert before.ece == pytest.approx(0.232, abs=1e-3)  # 98.2% sure, 75% right
    assert after.ece == pytest.approx(0, abs=1e-3)
    assert "Add calibrate=true" in looked.remark
    stored = calibrate(judged, validation, 1.0, store=True)
    assert (stored.temperature, stored.stored) == (looked.fitted, True)
    again = calibrate(judged, validation, stored.temperature, store=False)
    assert "The checkpoint already has it." in again.remark


def test_a_temperature_is_never_judged_on_the_images_that_it_was_fitted_on() -> None:
    generator = np.random.default_rng(0)
    validation = overconfident(60)
    noisy = Answers(validation.logits + generator.normal(size=(2, 60, 2)), validation.labels)
    _, apart = calibrate(noisy, noisy, 1.0, store=False).lines
    _, together = calibrate(noisy, Answers(*noisy), 1.0, store=False).lines
    assert "temperature of the other half" in apart.name
    assert apart.temperature == together.temperature
    assert apart.log_loss > together.log_loss


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fit_that_gains_no_more_than_chance_is_not_stored(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=60)
    logits = generator.normal(size=(1, 60, 3)) + 1.2 * np.eye(3)[labels]
    once = Answers(logits, labels)
    found = calibrate(once, once, 1.0, store=True)
    assert (found.stored, found.temperature) == (False, 1.0)
    assert "which may be chance. The temperature stays as it is." in found.remark
    before, after = found.lines
    changes = "lowers" if after.log_loss < before.log_loss else "raises"
    assert f"it {changes} the log-loss by {abs(after.log_loss - before.log_loss):.3f} ±" in (
        found.remark
    )
    # The same answers, ten times as sure as they should be.
    sure = Answers(10 * logits, labels)
    assert calibrate(sure, sure, 1.0, store=True).stored


@pytest.mark.parametrize(
    ("validation", "reason"),
    [
        (overconfident(16), "there are only 16"),
        (Answers(2.0 * np.eye(2)[None, [0, 1] * 20], np.array([0, 1] * 20)), "0 of them mistakes"),
    ],
)
def test_a_fit_that_cannot_be_believed_is_not_stored(validation: Answers, reason: str) -> None:
    found = calibrate(overconfident(40), validation, 1.5, store=True)
    assert (found.temperature, found.stored, len(found.lines)) == (1.5, False, 1)
    assert reason in found.remark


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    file = tmp_path / "best.ckpt"
    state = {"temperature": torch.tensor(1.0), "network.weight": torch.arange(3.0)}
    settings = dict.fromkeys(("classes", "image_size", "working_size", "mean", "std", "model"), 0)
    more = {"epoch": 4, "optimizer_states": [{"lr": 0.1}], "hyper_parameters": settings}
    torch.save({"state_dict": state, **more}, file)
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


def test_a_checkpoint_is_whole_even_if_writing_fails(checkpoint: Path, small_disk: Path) -> None:
    crowded = Path(shutil.copy(checkpoint, small_disk))
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    before = crowded.read_bytes()
    with pytest.raises(FishError, match=r"calibrate=true: .* is full \(0\.0 MB wanted"):
        store_temperature(crowded, 2.0)
    assert crowded.read_bytes() == before
    assert sorted(path.name for path in small_disk.iterdir()) == [checkpoint.name, "filler"]


def test_no_temperature_is_stored_while_the_run_is_being_trained(trained: RunFolder) -> None:
    before = trained.best_checkpoint.read_bytes()
    with locked(trained.path):
        with pytest.raises(FishError, match=r"first is being written to by process "):
            store_temperature(trained.best_checkpoint, 2.0)
        assert trained.best_checkpoint.read_bytes() == before
        store_temperature(trained.best_checkpoint, 2.0, held=trained.path)
    assert trained.best_checkpoint.read_bytes() != before
